// The frames that budge reads from a serial line: one sample each, checked, numbered and timed.
//
//   offset  bytes       little endian, as this processor is
//   0       1           version, 1
//   1       2           sequence: counts samples, also those that were not sent
//   3       4           time_us: micros() when the sample was taken
//   7       12 or 24    float: ax ay az in m/s2, then gx gy gz in rad/s if there is a gyro
//   19, 31  2           CRC-16/CCITT-FALSE over all before
//
// These 21 or 33 bytes are COBS-encoded, which takes one byte and leaves no zero among them; then
// a zero ends the frame. A reader who lost his place goes on after the next zero.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

const size_t LONGEST_BODY = 1 + 2 + 4 + 6 * 4 + 2;
const size_t LONGEST_FRAME = 1 + LONGEST_BODY + 1;

static_assert(sizeof(float) == 4, "a float goes on the wire as it lies in memory");

// Polynomial 0x1021, begun with 0xffff; of "123456789" it is 0x29b1.
inline uint16_t crc16(const uint8_t *data, size_t length) {
  uint16_t crc = 0xffff;
  for (size_t i = 0; i < length; i++) {
    crc ^= (uint16_t)(data[i] << 8);
    for (int bit = 0; bit < 8; bit++) {
      crc = (uint16_t)(crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
  }
  return crc;
}

// Each zero becomes the distance to the next, or to the end; the first distance leads:
//   11 00 22 33  ->  02 11 03 22 33 and the 00 that ends the frame
// For fewer than 254 bytes, so that no distance is too long for a byte.
inline size_t cobs(const uint8_t *data, size_t length, uint8_t *out) {
  size_t distance_at = 0;
  size_t at = 1;
  for (size_t i = 0; i < length; i++) {
    if (data[i] == 0) {
      out[distance_at] = (uint8_t)(at - distance_at);
      distance_at = at++;
    } else {
      out[at++] = data[i];
    }
  }
  out[distance_at] = (uint8_t)(at - distance_at);
  out[at++] = 0;
  return at;
}

// Writes a frame of `axes` values, 3 or 6, to `out`, which has room for LONGEST_FRAME bytes.
// Returns how many there are.
inline size_t frame(uint16_t sequence, uint32_t time_us, const float *values, size_t axes,
                    uint8_t *out) {
  uint8_t body[LONGEST_BODY] = {1};
  memcpy(body + 1, &sequence, 2);
  memcpy(body + 3, &time_us, 4);
  memcpy(body + 7, values, 4 * axes);
  size_t length = 7 + 4 * axes;
  uint16_t crc = crc16(body, length);
  memcpy(body + length, &crc, 2);
  return cobs(body, length + 2, out);
}
