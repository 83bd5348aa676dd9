// The few things every part of the page does with elements.

import { words } from "./words.js";

export const id = (name) => document.getElementById(name);

export function make(tag, given, ...children) {
	const element = Object.assign(document.createElement(tag), given);
	element.append(...children);
	return element;
}

// Change what is read, where it differs: a reader's place stays.
export function write(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

// Show it with this text, or hide it where there is none.
export function tell(element, text) {
	write(element, text ?? "");
	element.hidden = !text;
}

// Say it to who cannot see it.
export const announce = (text) => write(id("live"), text);

// Put the words where index.html names them.
export function fillIn() {
	for (const one of document.querySelectorAll("[data-word]")) write(one, words[one.dataset.word]);
	for (const one of document.querySelectorAll("[data-label]")) one.setAttribute("aria-label", words[one.dataset.label]);
	for (const one of document.querySelectorAll("[data-close]")) one.onclick = () => one.closest("dialog").close();
}

export const timeOfDay = (at, second) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second });

export const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Make a canvas as sharp as the screen; returns its pen and size in CSS pixels.
export function paper(canvas) {
	const { clientWidth: width, clientHeight: height } = canvas;
	canvas.width = width * devicePixelRatio;
	canvas.height = height * devicePixelRatio;
	const pen = canvas.getContext("2d");
	pen.scale(devicePixelRatio, devicePixelRatio);
	pen.lineCap = pen.lineJoin = "round";
	pen.textBaseline = "middle";
	pen.font = `600 13px ${getComputedStyle(document.body).fontFamily}`;
	return { pen, width, height };
}

// A colour of style.css, as it is for this element.
export const colour = (name, element = document.documentElement) => getComputedStyle(element).getPropertyValue(`--${name}`);

export function ask(title, text, yes) {
	const dialog = id("ask-dialog");
	write(id("ask-title"), title);
	write(id("ask-text"), text);
	write(id("ask-yes"), yes);
	id("ask-yes").onclick = () => dialog.close("yes");
	dialog.returnValue = "";
	dialog.showModal();
	return new Promise((resolve) => {
		dialog.onclose = () => resolve(dialog.returnValue === "yes");
	});
}
