// What it knows and how good it is at that; its settings, its health, its topics.

import { announce, ask, id, make, tell, write } from "./dom.js";
import { face } from "./looks.js";
import { backup, command, restore, transaction } from "./server.js";
import { mayTeach, names, said, whenever, windowsOf } from "./state.js";
import { chip } from "./teach.js";
import { words } from "./words.js";

// Do it, and say on this line how it goes; returns whether it went well.
async function change(line, work) {
	tell(line, words.working);
	try {
		await work();
		tell(line, words.done);
		return true;
	} catch ({ message }) {
		tell(line, message);
		return false;
	}
}

const send = (topic, body) => command(topic, { transaction: transaction(), ...body }, true);

// -- activities

const rows = new Map(); // by name: {item, more}

function rowFor(name) {
	const { parts, more } = face(name);
	const row = mayTeach() ? make("button", { onclick: () => edit(name) }, ...parts) : make("div", {}, ...parts);
	rows.set(name, { item: make("li", {}, row), more });
}

function drawNames() {
	if (!said.access) return;
	const known = names();
	for (const name of known) {
		if (!rows.has(name)) rowFor(name);
		const { item, more } = rows.get(name);
		write(more, words.facts(windowsOf(name), said.scores?.activities[name]?.right ?? null));
		if (!item.isConnected) id("names").append(item);
	}
	for (const [name, { item }] of rows) if (!known.includes(name)) item.remove();
	id("known").hidden = !known.length;
	const advice = (said.scores?.confused ?? []).map(({ one, other }) => words.confused(one, other));
	if (said.health?.drifting.length) advice.push(words.drifting(said.health.drifting.join(", ")));
	tell(id("advice"), advice.join("\n"));
}

function edit(name) {
	const others = names().filter((other) => other !== name);
	const wish = () => id("rename-to").value.trim();
	const drawVerb = () => {
		const twin = others.find((other) => other.toLowerCase() === wish().toLowerCase());
		write(id("rename-go"), twin ? words.merge(twin) : words.rename);
		write(id("merge-hint"), twin ? words.mergeHint(name, twin) : others.length ? words.sameAs : "");
	};
	const wishFor = (to) => {
		id("rename-to").value = to;
		drawVerb();
	};
	const act = async (topic, body) => {
		if (!(await change(id("edit-said"), () => send(topic, body)))) return;
		id("edit-dialog").close();
		announce(words.done);
	};
	write(id("edit-title"), name);
	write(id("forget"), words.forget(name));
	tell(id("edit-said"), null);
	id("rename-to").oninput = drawVerb;
	wishFor(name);
	id("merge-names").replaceChildren(...others.map((other) => chip(other, () => wishFor(other))));
	id("rename-form").onsubmit = (event) => {
		event.preventDefault();
		act("request/rename", { from: name, to: wish() });
	};
	id("forget").onclick = async () => {
		if (await ask(words.forgetTitle(name), words.forgetText(windowsOf(name)), words.forgetYes))
			act("request/forget", { activity: name });
	};
	id("edit-dialog").showModal();
}

// -- settings

function drawSettings() {
	id("settings").hidden = !mayTeach();
	if (!said.controls) return;
	id("learning").setAttribute("aria-checked", said.controls.learning);
	id("threshold").value = said.controls.threshold_percent;
	drawThreshold();
}

const drawThreshold = () => write(id("threshold-text"), words.threshold(id("threshold").value));

const set = (work) => change(id("settings-said"), work).then(drawSettings);

async function download() {
	const response = await backup();
	const [, called] = /filename="(.+)"/.exec(response.headers.get("Content-Disposition"));
	const link = make("a", { href: URL.createObjectURL(await response.blob()), download: called });
	link.click();
	setTimeout(URL.revokeObjectURL, 60_000, link.href); // a phone may ask first where to
}

async function bringBack({ target }) {
	const [file] = target.files;
	if (await ask(words.restoreTitle, words.restoreText(file.name), words.restoreYes)) await set(() => restore(file));
	target.value = "";
}

// -- health and topics

function drawHealth() {
	const { health, info } = said;
	if (!health || !info) return;
	const { state, rate_hz, gaps, lost, errors, waiting, temperature_c } = health;
	const facts = [
		words.health[state] + (state === "connected" ? ` ${words.rate(rate_hz)}` : ""),
		words.gaps(gaps, lost),
		errors && words.errors(errors),
		waiting > 5 && words.behind,
		temperature_c && words.temperature(temperature_c),
		words.about(info.version, info.classifier, info.source),
	];
	id("health").replaceChildren(...facts.filter(Boolean).map((fact) => make("li", {}, fact)));
	document.title = `${info.device} · budge`;
	write(id("device"), info.device);
	const root = `${info.base}/${info.device}/`;
	if (id("topics").dataset.root === root) return;
	id("topics").dataset.root = root; // drawn anew, it could not be selected
	for (const [topic, what] of Object.entries(words.topics))
		id("topics").append(make("dt", {}, make("code", {}, root + topic)), make("dd", {}, what));
}

export function start() {
	id("learning").onclick = () => set(() => send("learning/set", { learning: !said.controls.learning }));
	id("threshold").oninput = drawThreshold;
	id("threshold").onchange = () => set(() => send("threshold/set", { threshold_percent: Number(id("threshold").value) }));
	id("backup").onclick = () => set(download);
	id("restore").onclick = () => id("restore-file").click();
	id("restore-file").onchange = bringBack;
	whenever("info taught label scores health presses access", drawNames);
	whenever("controls access", drawSettings);
	whenever("health info", drawHealth);
}
