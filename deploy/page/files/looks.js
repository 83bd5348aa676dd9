// How an activity looks: its icon by the words in its name, its colour by the name alone.

import { make } from "./dom.js";

export const UNSURE = "unsure"; // as the Pi says it

// Lines on a square of 24.
const HEAD = "a1.9 1.9 0 1 0 3.8 0 1.9 1.9 0 1 0-3.8 0";
export const ICONS = {
	walking: `M12.4 8.6 11 14l2.8 3 1 4.5M11 14l-1.3 3.6-2.9 3.6M12.4 8.6 9 10.3l-1.2 3.2M12.4 8.6l2.3 3 2.9 1M11.1 4${HEAD}`,
	running: `M13.6 8.2 10.6 13l3.4 2.6-1 5.4M10.6 13l-1.7 3.8-4.7.4M13.6 8.2 9.4 7.6 7 10.8M13.6 8.2l2.2 3.2 3.9-.6M13.9 4.2${HEAD}`,
	stairs: "M2.5 20.5h5v-4.2h5v-4.2h5V7.9h4M4.5 11.5l6-6M6 5.5h4.5V10",
	cycling: "M5.8 16.2 9.5 9.6h5.2l3.5 6.6M9.5 9.6l2.7 6.6H5.8M12.2 16.2l2.5-6.6-.9-3h2.6M8 7.6h2.6M1.9 16.2a3.9 3.9 0 1 0 7.8 0 3.9 3.9 0 1 0-7.8 0M14.3 16.2a3.9 3.9 0 1 0 7.8 0 3.9 3.9 0 1 0-7.8 0",
	sitting: `M10 8.3v6.2h5.3V21M10 10.5l4 1.2M6 9.5V21M6 17.5h5.5M8.3 4.2${HEAD}`,
	standing: `M12 8.2v6.3M12 14.5 10 21.5M12 14.5l2 7M12 8.7l-3.3 4.8M12 8.7l3.3 4.8M10.1 4${HEAD}`,
	lying: `M2.5 6.5v12.5M2.5 16h19M21.5 19v-4.5a3 3 0 0 0-3-3H11V16M4.9 11.6${HEAD}`,
	resting: "M20 14.4A8.2 8.2 0 1 1 9.6 4a6.6 6.6 0 0 0 10.4 10.4zM15.5 4.5h4l-4 4.5h4",
	driving: "M3 16.5v-3.8l2-1.2L7 6.8h10l2 4.7 2 1.2v3.8zM5 11.5h14M6 16.5v2M18 16.5v2M7 14h1M16 14h1",
	washing: "M5 2.8h14v18.4H5zM8 6h2.5M8.2 14.2c1.3-1.4 2.5-1.4 3.8 0s2.5 1.4 3.8 0M7.7 13.6a4.3 4.3 0 1 0 8.6 0 4.3 4.3 0 1 0-8.6 0",
	any: "M2.5 12h4.2l2.8-7 4.5 14 2.8-7h4.7",
	unsure: "M8.6 9a3.5 3.5 0 1 1 5.3 3c-1.3.8-1.9 1.5-1.9 3M12 18.8v.1",
	more: "M12 5v14M5 12h14",
	undo: "M8.5 5 4 9.5 8.5 14M4 9.5h10a5.5 5.5 0 0 1 0 11h-3",
};

// Which icon for which words. A name that is just one of these has a colour of its own, so that the
// usual ones never share one; all others get theirs by their letters.
const KINDS = [
	["walking", /walk|hik|stroll/, 0],
	["running", /run|jog/, 1],
	["stairs", /stair|climb|step/, 2],
	["cycling", /cycl|bik/, 3],
	["sitting", /sit|desk/, 4],
	["standing", /stand/, 5],
	["lying", /lying|lie|bed/, 6],
	["resting", /rest|sleep|still|nap/, 6],
	["driving", /driv|car\b|bus|train/, 7],
	["washing", /wash|spin|rinse|machine/, 8],
];
const HUES = 9; // of style.css
const PATTERNS = 3; // beside plain, 0

// How a name looks. On the ribbon it has a sign: the icon, where that is its alone.
export function look(name) {
	if (name === UNSURE) return { icon: "unsure", hue: "none", pattern: 0, sign: "unsure" };
	const word = name.toLowerCase();
	const [icon, , hue] = KINDS.find(([, pattern]) => pattern.test(word)) ?? ["any"];
	if (word === icon && hue !== undefined) return { icon, hue, pattern: icon === "resting" ? 1 : 0, sign: icon };
	// FNV-1a: the same on every phone, today and tomorrow.
	let code = 0x811c9dc5;
	for (const letter of word) code = Math.imul(code ^ letter.codePointAt(0), 0x01000193) >>> 0;
	const [one, two] = word.split(/[\s_-]+/);
	const sign = two ? [...one][0] + [...two][0] : [...word].slice(0, 2).join("");
	return { icon, hue: code % HUES, pattern: 1 + ((code >>> 8) % PATTERNS), sign };
}

export function icon(name) {
	const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
	svg.setAttribute("viewBox", "0 0 24 24");
	path.setAttribute("d", ICONS[name]);
	svg.append(path);
	return svg;
}

export function dress(element, name) {
	if (element.dataset.name === name) return;
	const { icon: drawn, hue } = look(name);
	Object.assign(element.dataset, { name, hue });
	if (element.className === "disc") element.replaceChildren(icon(drawn));
}

// The face of an activity for a button: its disc, its name, and room for more.
export function face(name) {
	const disc = make("span", { className: "disc" });
	dress(disc, name);
	const more = make("small");
	return { parts: [disc, make("span", { className: "called" }, make("span", {}, name), more)], more };
}
