// What is going on now, in big letters, and how the movement looks.

import { announce, calm, colour, id, paper, tell, timeOfDay, write } from "./dom.js";
import { dress, UNSURE } from "./looks.js";
import { piNow } from "./server.js";
import { link, names, rows, said, whenever } from "./state.js";
import { words } from "./words.js";

const STEADY_MS = 2500; // told aloud only when it has lasted so long
let steady;

function draw() {
	const { activity, health, window } = said;
	const away = health?.problem;
	const name = (!away && activity?.activity) || UNSURE;
	let title = name;
	if (away) title = words.noData;
	else if (!activity) title = words.firstMoment;
	else if (name === UNSURE) title = names().length ? words.unsure : words.nothingKnown;
	dress(id("now"), name);
	dress(id("now-icon"), name);
	id("now").classList.toggle("stale", !link.up);
	id("now-name").style.fontSize = `${Math.max(1.3, Math.min(2.6, 24 / title.length))}rem`;
	if (id("now-name").textContent !== title) {
		clearTimeout(steady);
		steady = setTimeout(announce, STEADY_MS, words.nowIs(title));
	}
	write(id("now-name"), title);
	const since = Date.parse(activity?.since);
	const [[best] = []] = Object.entries(activity?.probabilities ?? {}).sort(([, a], [, b]) => b - a);
	const facts = [];
	if (activity && !away) facts.push(words.since(timeOfDay(since), (piNow() - since) / 1000));
	if (title === words.unsure && best) facts.push(words.closest(best));
	write(id("now-since"), facts.join(" · "));
	// Every window has its own; the state is said again only now and then.
	const { confidence = 0 } = (window?.activity === name ? window : activity) ?? {};
	id("sure").style.visibility = name === UNSURE ? "hidden" : ""; // its room stays: nothing jumps
	id("sure-bar").style.backgroundSize = `${100 * confidence}%`;
	write(id("sure-text"), words.sure(confidence));
}

function drawTrouble() {
	const { health } = said;
	const gone_s = (Date.now() - link.since) / 1000;
	let trouble = null;
	if (!link.up) trouble = said.info && gone_s > 2 ? words.goneNow : null;
	else if (health?.problem) trouble = words.health[health.state] + (health.cause ? ` (${health.cause})` : "");
	const before = id("trouble").textContent;
	if (trouble !== (before || null)) announce(trouble ?? words.backAgain);
	tell(id("trouble"), trouble);
	id("link").classList.toggle("up", link.up);
	write(id("link"), link.up ? words.live : gone_s < 3 ? words.connecting : words.gone(gone_s));
}

// -- the trace

const SHOWN_MS = 6000;
const LAG_MS = 350; // rows come several times a second: drawn a little later, they flow
const FRAME_MS = 33;
const CALM_MS = 1000;
const KEY_PX = 20; // room for x, y, z
const LEAST_M_S2 = 8; // from the lowest to the highest: rest is a line, not noise
const GAP_MS = 400;
let [low, high] = [-LEAST_M_S2 / 2, LEAST_M_S2 / 2];

function drawTrace() {
	const end = piNow() - LAG_MS;
	const seen = rows.filter(({ at }) => at > end - SHOWN_MS && at <= end);
	const { pen, width, height } = paper(id("trace"));
	if (!seen.length) return;
	const values = seen.flatMap(({ x, y, z }) => [x, y, z]);
	const [least, most] = [Math.min(...values), Math.max(...values)];
	const spare = Math.max(0, LEAST_M_S2 - (most - least)) / 2;
	const ease = calm.matches ? 1 : 0.12; // the scale follows slowly, or every step would jump
	low += ease * (least - spare - low);
	high += ease * (most + spare - high);
	const place = (value) => height - 8 - ((height - 16) * (value - low)) / (high - low);
	const last = seen[seen.length - 1];
	let key = -Infinity;
	pen.lineWidth = 1.75;
	for (const axis of ["x", "y", "z"].sort((a, b) => last[b] - last[a])) {
		pen.strokeStyle = pen.fillStyle = colour(axis);
		pen.beginPath();
		let before = 0;
		for (const { at, [axis]: value } of seen) {
			const across = (width - KEY_PX) * (1 - (end - at) / SHOWN_MS);
			if (at - before > GAP_MS) pen.moveTo(across, place(value));
			else pen.lineTo(across, place(value));
			before = at;
		}
		pen.stroke();
		key = Math.max(place(last[axis]), key + 13); // none over another
		pen.fillText(axis, width - 14, key);
	}
}

let drawn_ms = 0;
function frame(now_ms) {
	requestAnimationFrame(frame);
	if (now_ms - drawn_ms < (calm.matches ? CALM_MS : FRAME_MS)) return;
	drawn_ms = now_ms;
	drawTrace();
}

export function start() {
	whenever("activity window health info link second", draw);
	whenever("health link second", drawTrouble);
	frame(0);
}
