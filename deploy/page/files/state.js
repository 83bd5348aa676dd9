// What the page knows: what the Pi said last, and what it follows together with our own presses.

import { piNow } from "./server.js";

export const SHOWN_MS = 600_000; // of the past
const TRACE_MS = 8000;

export const said = {}; // by topic, the last of each
export let segments = []; // {from, to (ms of the Pi), activity}, the newest last
export let rows = []; // {at, x, y, z} of the last seconds
export let presses = []; // of presses.js: not confirmed yet
export const link = { up: false, since: Date.now() };

const drawers = [];

// Draw whenever one of these changes: topics, "presses", "link", "second".
export const whenever = (topics, draw) => drawers.push([topics.split(" "), draw]);

export function changed(topic) {
	for (const [topics, draw] of drawers) if (topics.includes(topic)) draw(topic);
}

export function setLink(up) {
	if (up !== link.up) Object.assign(link, { up, since: Date.now() });
	changed("link");
}

export function setPresses(now) {
	presses = now;
	changed("presses");
}

const times = ({ activity, start, end }) => ({ activity, from: Date.parse(start), to: end ? Date.parse(end) : piNow() });

export function take(topic, message) {
	said[topic] = message;
	if (topic === "history") segments = message.segments.map(times);
	if (topic === "window") addWindow(message);
	if (topic === "trace") addRows(message);
	changed(topic);
}

function addRows({ ts, rate_hz, x, y, z }) {
	const end = Date.parse(ts);
	x.forEach((_, k) => rows.push({ at: end - ((x.length - 1 - k) * 1000) / rate_hz, x: x[k], y: y[k], z: z[k] }));
	rows = rows.filter(({ at }) => at > end - TRACE_MS && at <= end); // later ones: the Pi's clock was set back
}

function addWindow({ activity, start, ts }) {
	const to = Date.parse(ts);
	const last = segments[segments.length - 1];
	// Windows overlap: each adds what the one before has not seen.
	const joined = last && Date.parse(start) <= last.to && last.to <= to;
	if (joined && last.activity === activity) last.to = to;
	else segments.push({ from: joined ? last.to : Date.parse(start), to, activity });
	segments = segments.filter((one) => one.to > to - SHOWN_MS);
}

// What is being taught, with our own presses: {activity, from (ms of the Pi), windows}, or null.
export function teaching() {
	const { label } = said;
	let now = label?.since ? { activity: label.label, from: Date.parse(label.since), windows: label.windows } : null;
	for (const { kind, activity, at_ms } of presses) {
		if (kind === "stop") now = null;
		if (kind === "start" && now?.activity !== activity) now = { activity, from: piNow() - (Date.now() - at_ms), windows: 0 };
	}
	return now;
}

// What was taught: {activity, from, to}, the later over the earlier.
export function taught() {
	const found = (said.taught?.stretches ?? []).filter(({ end }) => end).map(times);
	const now = teaching();
	if (now) found.push({ ...now, to: piNow() });
	return [...found, ...presses.filter(({ kind }) => kind === "span")];
}

export const windowsOf = (name) => said.info?.activities[name] ?? 0;

// Every activity there is, in the order of the Pi; the new ones last.
export const names = () => [...new Set([...Object.keys(said.info?.activities ?? {}), ...taught().map(({ activity }) => activity)])];

export const mayTeach = () => said.access?.role === "full";
