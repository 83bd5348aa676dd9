// Presses of the button, until the Pi has them on its disk: none is lost with the Wi-Fi. They are
// sent in their order, with their age, each again until it is answered. {kind, activity, at_ms, …}:
// start; stop; span with from and to in ms of the Pi; last with from and to in ms of the phone.

import { command, Refused, transaction, Unpaired } from "./server.js";
import { changed, setPresses } from "./state.js";

const KEY = "budge.presses";
const MAX_PAUSE_MS = 5000;
const SETTLE_MS = 1500; // after `ok`, until the Pi's own word of it is here
const PROMPT_MS = 1000; // younger than that is now: the Pi may not have the rows of it yet
const SLOW_MS = 2000;

let queue = JSON.parse(localStorage.getItem(KEY) ?? "[]");
let sending = false;
let timer;
let tries = 0;

// What came of the last press, {data} or {why}; null: it is not known yet.
export let outcome = null;

function keep(now) {
	queue = now;
	localStorage.setItem(KEY, JSON.stringify(unconfirmed()));
	setPresses(queue);
}

export const unconfirmed = () => queue.filter(({ done }) => !done);
export const overdue = () => unconfirmed().some(({ at_ms }) => Date.now() - at_ms > SLOW_MS);

// The Pi said what it teaches: its word stands now.
export const settle = () => keep(unconfirmed());

export function press(given) {
	outcome = null;
	keep([...queue, { transaction: transaction(), at_ms: Date.now(), ...given }]);
	deliver();
}

function body({ transaction, kind, activity, at_ms, from, to }) {
	const age = (at) => Math.max(0, Date.now() - at);
	const late = age(at_ms) > PROMPT_MS ? age(at_ms) : undefined;
	switch (kind) {
		case "start": return { transaction, activity, start_age_ms: late };
		case "stop": return { transaction, end_age_ms: late };
		case "last": return { transaction, activity, start_age_ms: age(from), end_age_ms: age(to) };
		case "span": return { transaction, activity, start: new Date(from).toISOString(), end: new Date(to).toISOString() };
	}
}

export async function deliver() {
	clearTimeout(timer);
	if (sending) return;
	sending = true;
	try {
		for (let next; (next = unconfirmed()[0]); tries = 0) {
			try {
				outcome = { data: await command("label/set", body(next)) };
				next.done = true;
				setTimeout(settle, SETTLE_MS);
				keep(queue);
			} catch (error) {
				if (!(error instanceof Refused)) throw error;
				outcome = { why: error.message };
				keep(queue.filter((one) => one !== next));
			}
		}
	} catch (error) {
		// Without a key they wait until there is one.
		if (!(error instanceof Unpaired)) timer = setTimeout(deliver, Math.min(MAX_PAUSE_MS, 500 * 2 ** tries++));
		changed("presses");
	}
	sending = false;
}

export function start() {
	keep(queue);
	deliver();
}
