// The button: what I do now, what that was, and taking it back.

import { announce, id, make, timeOfDay, write } from "./dom.js";
import { dress, face, icon } from "./looks.js";
import { deliver, outcome, overdue, press, settle, unconfirmed } from "./presses.js";
import * as ribbon from "./ribbon.js";
import { command, piNow, transaction } from "./server.js";
import { link, mayTeach, names, said, teaching, whenever } from "./state.js";
import { span, words } from "./words.js";

const LASTS_S = [10, 30, 120];
const SHOWN_MS = 8000; // of what came of a press
const DROPPED = "budge.dropped"; // the end of the stretch whose tail was answered for

// -- what I do now

const buttons = new Map(); // by name: {button, more}

function tap(activity) {
	press(teaching()?.activity === activity ? { kind: "stop" } : { kind: "start", activity });
}

function buttonFor(name) {
	const { parts, more } = face(name);
	const button = make("button", { onclick: () => tap(name) }, ...parts);
	dress(button, name);
	buttons.set(name, { button, more });
}

function drawButtons() {
	const known = names();
	// Ideas while there is little else, first, so that nothing moves under a finger.
	let spare = said.info ? words.ideas.length - known.length : 0;
	const shown = [...new Set([...words.ideas, ...known])].filter((name) => known.includes(name) || spare-- > 0);
	const paused = said.controls?.learning === false;
	const now = teaching();
	for (const name of shown) {
		if (!buttons.has(name)) buttonFor(name);
		const { button, more } = buttons.get(name);
		const on = now?.activity === name;
		button.setAttribute("aria-pressed", on);
		button.className = known.includes(name) ? "" : "idea";
		button.disabled = paused && !on;
		write(more, on ? words.counting((piNow() - now.from) / 1000, now.windows) : "");
	}
	const wanted = [...shown.map((name) => buttons.get(name).button), newButton];
	if (wanted.some((one, k) => id("buttons").children[k] !== one) || id("buttons").children.length > wanted.length)
		id("buttons").replaceChildren(...wanted);
	newButton.disabled = paused;
	id("buttons").hidden = !mayTeach();
	id("correct").hidden = !mayTeach() || paused || !id("was").hidden;
	const hint = !mayTeach() ? words.teachReadOnly : paused ? words.teachPaused : known.length ? words.teachHint : words.teachFirst;
	write(id("teach-hint"), hint);
}

// -- what came of it

let told = null; // an outcome, and until when it is shown
let until_ms = 0;

const textOf = ({ why, data }) =>
	why ? words.refused(why) : words[data.action](data.activity, (Date.parse(data.end) - Date.parse(data.start)) / 1000);

function tellOutcome(now) {
	told = now;
	until_ms = Date.now() + SHOWN_MS;
	announce(textOf(now));
}

function drawPressed() {
	if (outcome && outcome !== told) tellOutcome(outcome);
	const waiting = unconfirmed();
	const slow = overdue();
	let text = Date.now() < until_ms ? textOf(told) : "";
	if (waiting.length) text = slow ? words.waiting(waiting.length, (Date.now() - waiting[0].at_ms) / 1000) : words.saving;
	write(id("pressed"), text);
	id("pressed").className = `quiet ${slow ? "waiting" : told?.why ? "bad" : ""}`;
	const last = said.taught?.undo;
	id("undo").hidden = !last || !mayTeach() || waiting.length > 0 || !link.up;
	if (!last) return;
	const name = words.undo(last.activity, last.end && (Date.parse(last.end) - Date.parse(last.start)) / 1000);
	if (id("undo").textContent !== name) id("undo").replaceChildren(icon("undo"), name);
}

async function undo() {
	id("undo").disabled = true;
	try {
		tellOutcome({ data: await command("label/undo", { transaction: transaction() }) });
	} catch ({ message }) {
		tellOutcome({ why: message });
	}
	id("undo").disabled = false;
	drawPressed();
}

// -- a stop forgotten

function drawEnded() {
	const ended = said.label?.ended;
	id("ended").hidden = !ended || !mayTeach() || localStorage.getItem(DROPPED) === ended.end;
	if (id("ended").hidden) return;
	const { activity, reason } = ended;
	const [from, to] = [Date.parse(ended.end), Date.parse(ended.until)];
	const text = words.ended(activity, timeOfDay(from), reason === "motion");
	if (id("ended-text").textContent !== text) announce(text);
	write(id("ended-text"), text);
	write(id("ended-keep"), words.endedKeep(activity, (to - from) / 1000));
	id("ended-drop").onclick = () => {
		localStorage.setItem(DROPPED, ended.end);
		drawEnded();
	};
	id("ended-keep").onclick = () => {
		press({ kind: "span", activity, from, to });
		id("ended-drop").onclick();
	};
}

// -- no, that was …

// Ask what a stretch was: {kind: "span" or "last", from, to}.
function askWas(stretch, byKey) {
	// The last seconds are counted on the phone's clock; what is read is the Pi's.
	const shift = stretch.kind === "last" ? piNow() - Date.now() : 0;
	const [from, to] = [stretch.from + shift, stretch.to + shift];
	ribbon.choose({ from, to });
	write(id("was-title"), words.wasTitle(timeOfDay(from, "2-digit"), timeOfDay(to, "2-digit"), (to - from) / 1000));
	const say = (activity) => {
		press({ ...stretch, activity });
		closeWas();
	};
	const chips = names().map((name) => chip(name, () => say(name)));
	chips.push(make("button", { onclick: () => askName(words.newWas, say) }, icon("more"), words.newOne));
	id("was-names").replaceChildren(...chips);
	id("was").hidden = false;
	id("correct").hidden = true;
	if (byKey) chips[0].focus();
	id("was").scrollIntoView({ block: "nearest" });
}

function closeWas() {
	const inside = id("was").contains(document.activeElement);
	id("was").hidden = true;
	ribbon.choose(null);
	drawButtons();
	if (inside) id("ribbon").focus();
}

export const chip = (name, onclick) => make("button", { type: "button", className: "chip", onclick }, ...face(name).parts);

// Ask for a name that is not there yet, then `use` it.
function askName(verb, use) {
	id("new-name").value = "";
	write(id("new-go"), verb);
	id("new-form").onsubmit = (event) => {
		event.preventDefault();
		const name = id("new-name").value.trim();
		id("new-dialog").close();
		if (name) use(name);
	};
	id("new-dialog").showModal();
}

const newButton = make("button", { className: "idea", onclick: () => askName(words.newStart, tap) }, icon("more"), words.newOne);

export function start() {
	for (const seconds of LASTS_S) {
		const onclick = ({ detail }) => askWas({ kind: "last", from: Date.now() - seconds * 1000, to: Date.now() }, !detail);
		id("lasts").append(make("button", { onclick }, span(seconds)));
	}
	id("undo").onclick = undo;
	id("was-cancel").onclick = closeWas;
	ribbon.start(askWas);
	whenever("label", settle);
	whenever("label taught info controls access presses second", drawButtons);
	whenever("taught access presses link second", drawPressed);
	whenever("label access", drawEnded);
	whenever("link", () => link.up && deliver());
}
