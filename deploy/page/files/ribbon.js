// The last ten minutes: what it was, what was taught, and a stretch to be corrected.

import { colour, id, make, paper } from "./dom.js";
import { dress, ICONS, look } from "./looks.js";
import { piNow } from "./server.js";
import { mayTeach, segments, SHOWN_MS, taught, whenever } from "./state.js";
import { words } from "./words.js";

const DRAG_PX = 6; // less is a tap
const STEP_MS = 5000; // of an arrow key
const SIGN_PX = 20; // a block so wide has room for one
const SEEN = { top: 0, height: 44 };
const TAUGHT = { top: 50, height: 14 };

let chosen = null; // {from, to} in ms of the Pi
let cursor = null; // of the keyboard
let anchor = null; // where shift was first held
let ask;

export function choose(stretch) {
	chosen = stretch;
	drawChosen();
}

const part = (at) => Math.min(1, Math.max(0, 1 - (piNow() - at) / SHOWN_MS));

function drawChosen() {
	const box = id("chosen");
	const shown = chosen ?? (cursor && id("ribbon") === document.activeElement ? { from: cursor, to: cursor } : null);
	box.hidden = !shown;
	if (!shown) return;
	box.style.left = `${100 * part(shown.from)}%`;
	box.style.width = `${100 * (part(shown.to) - part(shown.from))}%`;
}

function draw() {
	const { pen, width } = paper(id("ribbon").firstElementChild);
	const probe = id("ribbon").appendChild(make("i")); // has the colours of this scheme
	for (const [lane, blocks] of [[SEEN, segments], [TAUGHT, taught()]]) {
		pen.fillStyle = colour("lane");
		pen.fillRect(0, lane.top, width, lane.height);
		for (const { activity, from, to } of blocks) {
			dress(probe, activity);
			drawBlock(pen, width * part(from), width * part(to), lane, look(activity), probe);
		}
	}
	probe.remove();
	drawChosen();
}

function drawBlock(pen, left, right, { top, height }, { pattern, sign }, probe) {
	if (right - left < 0.3) return;
	pen.save();
	pen.beginPath();
	pen.rect(left, top, right - left, height);
	pen.clip();
	pen.fillStyle = colour("hue", probe);
	pen.fill();
	pen.fillStyle = pen.strokeStyle = colour("ink", probe);
	// Stripes: colour is not alone.
	pen.globalAlpha = 0.28;
	pen.beginPath();
	const lean = [0, height, -height, 0][pattern];
	for (let at = left - height; pattern && at < right + height; at += 8) {
		pen.moveTo(at, top + height);
		pen.lineTo(at + lean, top);
	}
	pen.stroke();
	pen.globalAlpha = 1;
	if (right - left > SIGN_PX && top === SEEN.top) {
		pen.translate((left + right) / 2 - 10, top + height / 2 - 10);
		if (ICONS[sign]) {
			pen.scale(20 / 24, 20 / 24);
			pen.lineWidth = 2.2;
			pen.stroke(new Path2D(ICONS[sign]));
		} else pen.fillText(sign, 2, 11);
	}
	pen.restore();
}

const ordered = (a, b) => ({ from: Math.min(a, b), to: Math.max(a, b) });
const seenAt = (at) => segments.find(({ from, to }) => from <= at && at <= to);

function take(stretch, byKey) {
	choose(stretch ?? null);
	if (stretch) ask({ kind: "span", from: stretch.from, to: stretch.to }, byKey);
}

function listenToPointer(ribbon) {
	let pressed = null; // {x, at}
	let dragged;
	const timeAt = ({ clientX }) => {
		const { left, width } = ribbon.getBoundingClientRect();
		return piNow() - (1 - Math.min(1, Math.max(0, (clientX - left) / width))) * SHOWN_MS;
	};
	ribbon.onpointerdown = (event) => {
		if (!mayTeach() || event.button) return;
		pressed = { x: event.clientX, at: timeAt(event) };
		dragged = null;
		ribbon.setPointerCapture(event.pointerId);
	};
	ribbon.onpointermove = (event) => {
		if (!pressed || (!dragged && Math.abs(event.clientX - pressed.x) < DRAG_PX)) return;
		dragged = ordered(pressed.at, timeAt(event));
		choose(dragged);
	};
	// A tap means all of what was seen there.
	ribbon.onpointerup = () => {
		if (pressed) take(dragged ?? seenAt(pressed.at));
		pressed = null;
	};
	ribbon.onpointercancel = () => {
		pressed = null; // the finger scrolls the page
		choose(null);
	};
}

function listenToKeys(ribbon) {
	ribbon.onfocus = () => {
		cursor ??= piNow() - 2 * STEP_MS;
		draw();
	};
	ribbon.onblur = drawChosen;
	ribbon.onkeydown = (event) => {
		const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -12, PageUp: 12 }[event.key];
		if (step) {
			anchor = event.shiftKey && mayTeach() ? (anchor ?? cursor) : null;
			cursor = Math.min(piNow(), Math.max(piNow() - SHOWN_MS, cursor + step * STEP_MS));
			choose(anchor && ordered(anchor, cursor));
			tellValue();
		} else if (event.key === "Enter" && mayTeach()) take(chosen ?? seenAt(cursor), true);
		else return;
		event.preventDefault();
	};
}

function tellValue() {
	const ago = (at) => Math.round((piNow() - at) / 1000);
	const at = cursor ?? piNow();
	const seen = seenAt(at)?.activity ?? words.nothingSeen;
	const as = taught().filter(({ from, to }) => from <= at && at <= to).pop();
	const { from, to } = chosen ?? { from: at, to: at };
	id("ribbon").setAttribute("aria-valuenow", -ago(at));
	id("ribbon").setAttribute("aria-valuetext", words.ribbonValue(ago(from), ago(to), as ? words.taughtAs(seen, as.activity) : seen));
}

// `chooser(stretch, byKey)` asks what a stretch was.
export function start(chooser) {
	ask = chooser;
	listenToPointer(id("ribbon"));
	listenToKeys(id("ribbon"));
	tellValue();
	whenever("window history taught label presses second", draw);
	addEventListener("resize", draw);
}
