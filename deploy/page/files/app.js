// The page begins here: pair this phone, or watch and teach.

import { fillIn, id, tell } from "./dom.js";
import * as manage from "./manage.js";
import * as now from "./now.js";
import * as presses from "./presses.js";
import { heard, listen, pair, paired, unpair } from "./server.js";
import { changed, setLink, take } from "./state.js";
import * as teach from "./teach.js";
import { language, words } from "./words.js";

function showPairing(trouble) {
	tell(id("pair-trouble"), trouble);
	id("watching").hidden = true;
	id("pairing").hidden = false;
}

function hear(topic, message) {
	if (topic === "window" || topic === "trace") heard(message.ts); // of this very moment
	take(topic, message);
}

async function watch() {
	id("watching").hidden = false;
	for (const part of [teach, now, manage, presses]) part.start();
	setInterval(changed, 1000, "second");
	changed("second");
	await listen({ hear, link: setLink }).catch(({ message }) => {
		unpair();
		showPairing(message);
	});
}

function takeKey() {
	if (pair(location.hash)) history.replaceState(null, "", location.pathname); // a secret is not for the history
}

document.documentElement.lang = language;
fillIn();
takeKey();
onhashchange = () => {
	takeKey();
	location.reload();
};
id("pair-form").onsubmit = (event) => {
	event.preventDefault();
	if (pair(id("pair-link").value)) location.reload();
	else showPairing(words.pairNoToken);
};
if (paired()) watch();
else showPairing();
