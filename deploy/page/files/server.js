// The way to the Pi: the key of this phone, commands, the stream of what happens, the Pi's clock.

import { words } from "./words.js";

const KEY = "budge.token";
const BUSY = [408, 429, 502, 503, 504];
const PATIENCE_MS = 8000;
const LONG_MS = 130_000; // of what changes files
const MAX_PAUSE_MS = 5000;
const SILENT_MS = 35_000; // the Pi says something every 15 s

let token = localStorage.getItem(KEY);

export const paired = () => Boolean(token);

// Take the key out of a link, or just a key; returns whether there was one.
export function pair(link) {
	const found = /(?:#token=|^\s*)([\w-]{16,})\s*$/.exec(link);
	if (found) localStorage.setItem(KEY, (token = found[1]));
	return Boolean(found);
}

export function unpair() {
	token = null;
	localStorage.removeItem(KEY);
}

// The Pi said no, and why.
export class Refused extends Error {}
// The Pi does not know our key.
export class Unpaired extends Error {}
// The Pi was not reached, or has no time: the same may be asked again.
class Unreached extends Error {}

const lost = () => {
	throw new Unreached(words.noAnswer);
};

async function request(path, given, patience_ms = LONG_MS, stop = new AbortController()) {
	const timer = setTimeout(() => stop.abort(), patience_ms);
	try {
		const headers = { Authorization: `Bearer ${token}` };
		const response = await fetch(`/api/${path}`, { ...given, headers, cache: "no-store", signal: stop.signal }).catch(lost);
		if (response.ok) return response;
		if (response.status === 401) throw new Unpaired(words.pairUnknown);
		if (BUSY.includes(response.status)) lost();
		throw new Refused((await response.json().catch(lost)).error);
	} finally {
		clearTimeout(timer);
	}
}

// Give a command; returns the answer's data. Raises, as the next do, with a sentence for people.
export async function command(topic, body, long) {
	const response = await request(topic, { method: "POST", body: JSON.stringify(body) }, long ? LONG_MS : PATIENCE_MS);
	return (await response.json().catch(lost)).data;
}

export const backup = () => request("backup");
export const restore = (file) => request("restore", { method: "POST", body: file });

// So that what is sent again is done once.
export const transaction = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

// -- the Pi's clock: a phone's own is often wrong

const KEPT_MS = 30_000; // clocks drift, and the Pi's may be set
let delays = [Infinity, Infinity]; // smallest seen in this while and the one before
let turned_ms = 0;

// A message of this very moment came: its delay is mostly the difference of the clocks.
export function heard(ts) {
	const now_ms = Date.now();
	if (Math.abs(now_ms - turned_ms) > KEPT_MS) [delays, turned_ms] = [[Infinity, delays[0]], now_ms];
	delays[0] = Math.min(delays[0], now_ms - Date.parse(ts));
}

// Now, in milliseconds of the Pi.
export function piNow() {
	const delay_ms = Math.min(...delays);
	return Date.now() - (delay_ms === Infinity ? 0 : delay_ms);
}

// -- the stream

// Listen until our key is not known: `hear(topic, message)`, `link(up)`.
export async function listen({ hear, link }) {
	let tries = 0;
	let heard_ms = 0;
	let stop;
	let wake;

	async function once() {
		stop = new AbortController();
		heard_ms = Date.now();
		const response = await request("events", {}, PATIENCE_MS, stop);
		tries = 0;
		link(true);
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		for (let rest = ""; ; ) {
			const { value, done } = await reader.read().catch(lost);
			if (done) lost();
			heard_ms = Date.now();
			const events = (rest + value).split("\n\n");
			rest = events.pop();
			for (const event of events) {
				const [, topic, data] = /^event: (.*)\ndata: (.*)$/.exec(event) ?? [];
				if (topic) hear(topic, JSON.parse(data));
			}
		}
	}

	setInterval(() => Date.now() - heard_ms > SILENT_MS && stop?.abort(), 1000);
	const again = () => {
		if (document.hidden) return;
		tries = 0;
		if (Date.now() - heard_ms > SILENT_MS / 2) stop?.abort(); // a phone that slept keeps dead connections
		wake?.();
	};
	for (const news of ["visibilitychange", "online", "pageshow"]) addEventListener(news, again);

	for (;;) {
		await once().catch((error) => {
			if (error instanceof Unpaired) throw error;
			if (!(error instanceof Unreached)) console.error(error); // a mistake of ours: go on
		});
		link(false);
		await new Promise((resolve) => {
			wake = resolve;
			setTimeout(resolve, Math.min(MAX_PAUSE_MS, 300 * 2 ** tries++));
		});
	}
}
