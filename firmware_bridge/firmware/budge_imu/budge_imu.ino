// Sends what an IMU measures to budge, over USB or a serial line. See frames.h for the bytes.
//
// Boards and their library (Library Manager); all give `IMU` with the same functions:
//   Nano RP2040 Connect        Arduino_LSM6DSOX         104 Hz, 4 g, 2000 dps
//   Nano 33 BLE (Sense)        Arduino_LSM9DS1          119 Hz, 4 g, 2000 dps
//   Nano 33 BLE Sense Rev2     Arduino_BMI270_BMM150     99 Hz, 4 g, 2000 dps
#include <Arduino_LSM6DSOX.h>

#include "frames.h"

const float M_S2_PER_G = 9.80665f;
const float RAD_PER_DEGREE = 0.017453293f;

uint16_t sequence = 0;

void setup() {
  Serial.begin(115200);
  while (!IMU.begin()) {
    delay(1000);  // the host says that nothing comes
  }
  Serial.write((uint8_t)0);  // ends whatever was on the line before
}

void loop() {
  if (!IMU.accelerationAvailable() || !IMU.gyroscopeAvailable()) {
    return;
  }
  uint32_t time_us = micros();
  float values[6];  // ax ay az in g, gx gy gz in degrees per second
  bool ok = IMU.readAcceleration(values[0], values[1], values[2]) &&
            IMU.readGyroscope(values[3], values[4], values[5]);
  for (int i = 0; i < 6; i++) {
    values[i] *= i < 3 ? M_S2_PER_G : RAD_PER_DEGREE;
  }

  uint8_t bytes[LONGEST_FRAME];
  size_t length = frame(sequence, time_us, values, 6, bytes);
  sequence++;  // also for a sample that could not be read: the host sees the hole
  if (ok) {
    Serial.write(bytes, length);  // should this wait and a sample be missed, time_us tells
  }
}
