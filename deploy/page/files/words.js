// Every word that people read, so that a translation is one file. Names of activities are theirs.

export const language = "en";

const plural = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;
const percent = (share) => `${Math.round(share * 100)} %`;
export const span = (seconds) => {
	const s = Math.max(0, Math.round(seconds));
	if (s < 60) return `${s} s`;
	if (s < 600) return `${Math.floor(s / 60)} min ${s % 60 ? `${s % 60} s` : ""}`.trim();
	if (s < 7200) return `${Math.round(s / 60)} min`;
	return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
};

export const words = {
	pairTitle: "Connect this phone",
	pairTerminal: "In a terminal on the Pi, type",
	pairScan: "Point this phone's camera at the code, and open the link.",
	pairPaste: "Or paste the link",
	pairConnect: "Connect",
	pairUnknown: "The Pi does not know this phone. Connect it again.",
	pairNoToken: "There is no key in this: the link ends in #token=…",

	live: "live",
	connecting: "connecting…",
	gone: (seconds) => `no connection for ${span(seconds)}`,
	goneNow: "The connection to the Pi is lost. What you press is kept and sent later.",
	backAgain: "Connected to the Pi again.",

	nowTitle: "Now",
	unsure: "not sure",
	nothingKnown: "nothing learnt yet",
	noData: "no data",
	firstMoment: "one moment…",
	since: (time, seconds) => `since ${time} · ${span(seconds)}`,
	sure: (share) => `${percent(share)} sure`,
	closest: (name) => `perhaps ${name}`,
	nowIs: (name) => `Now: ${name}`,
	traceLabel: "The movement, live",

	teachTitle: "What are you doing?",
	teachHint: "Tap when you start, tap again when you stop.",
	teachFirst: "Tap what you do, while you do it. Half a minute of each is a good start.",
	teachPaused: "Learning is paused: see Settings below.",
	teachReadOnly: "This phone may watch, not teach.",
	counting: (seconds, n) => {
		const s = Math.max(0, Math.floor(seconds));
		return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}\n${plural(n, "window")}`;
	},
	ideas: ["walking", "sitting", "standing", "stairs"],
	newOne: "new",
	saving: "saving…",
	waiting: (n, seconds) => `${n > 1 ? `${n} presses ` : ""}not confirmed yet: waiting for the Pi (${span(seconds)})`,
	started: (name) => `kept: ${name} has begun`,
	stopped: (name, seconds) => `kept: ${name}, ${span(seconds)}`,
	taught: (name, seconds) => `kept: ${name}, ${span(seconds)}`,
	undone: (name) => `taken back: ${name}`,
	refused: (why) => `not done: ${why}`,
	undo: (name, seconds) => (seconds ? `Undo ${name}, ${span(seconds)}` : `Undo ${name}`),
	ended: (name, time, motion) =>
		`Teaching ${name} ended by itself at ${time}: ${motion ? "it looked like something else" : "it had lasted very long"}.`,
	endedKeep: (name, seconds) => `The ${span(seconds)} after it was ${name}, too`,
	endedDrop: "Leave that out",

	pastTitle: "The last 10 minutes",
	tenAgo: "10 min ago",
	justNow: "now",
	correctHint: "Was it something else? Drag over it, or take the last",
	ribbonLabel: "The last 10 minutes. Arrow keys move, with shift they choose a stretch, enter says what it was.",
	ribbonValue: (from, to, what) => `${from === to ? "" : `${span(from)} to `}${span(to)} ago: ${what}`,
	nothingSeen: "nothing seen",
	taughtAs: (what, name) => `${what}, taught as ${name}`,
	wasTitle: (from, to, seconds) => `${from} to ${to}, ${span(seconds)}. What was it?`,
	cancel: "Cancel",

	namesTitle: "Activities",
	facts: (n, right) => `${plural(n, "window")} · ${right === null ? "too few to judge" : `right ${percent(right)}`}`,
	confused: (one, other) => `${one} and ${other} look alike from here: teach 20 s more of each.`,
	drifting: (names) =>
		`${names}: looks less like what was taught. Is the sensor worn another way? Put it back, or teach again.`,

	newTitle: "Something new",
	newName: "What do you call it?",
	newStart: "Start",
	newWas: "That was it",
	renameTo: "Another name",
	rename: "Rename",
	sameAs: "Or it is the same as",
	merge: (name) => `Merge with ${name}`,
	mergeHint: (one, other) => `${one} becomes ${other}, for good: they cannot be parted again.`,
	forget: (name) => `Forget ${name} …`,
	forgetTitle: (name) => `Forget ${name}?`,
	forgetText: (n) => `All that was taught of it (${plural(n, "window")}) and its recordings are deleted. This cannot be undone.`,
	forgetYes: "Forget it",
	keepIt: "Keep it",
	working: "working…",
	done: "done",
	noAnswer: "The Pi does not answer. Is it on? Try again.",

	settingsTitle: "Settings",
	learning: "Learn from my presses",
	threshold: (number) => `Say “not sure” below ${number} %`,
	backup: "Download backup",
	restore: "Restore backup …",
	restoreTitle: "Restore this backup?",
	restoreText: (file) => `All that was taught is replaced by what is in ${file}.`,
	restoreYes: "Restore it",

	healthTitle: "How the device is doing",
	health: {
		connected: "The sensor works:",
		starting: "The sensor is starting.",
		gap: "There is no data from the sensor. Is it plugged in?",
		"not started": "The sensor has not started. Is it plugged in?",
	},
	rate: (hz) => `${hz.toFixed(1)} readings a second.`,
	gaps: (n, lost) => (n || lost ? `Interrupted ${plural(n, "time")}, ${plural(lost, "reading")} lost.` : "Not interrupted so far."),
	errors: (n) => `${plural(n, "error")} of the sensor.`,
	behind: "The Pi is too slow at the moment: it is catching up.",
	temperature: (c) => `The Pi is ${c < 70 ? "" : "too hot, give it air: "}${Math.round(c)} °C.`,
	about: (version, classifier, source) => `budge ${version}, ${classifier}, ${source}.`,

	topicsTitle: "For other programs (MQTT)",
	topics: {
		activity: "what is going on",
		transition: "something began or ended",
		availability: "online or offline",
		label: "what is being taught",
		"label/set": "send a name: I do that now; stop: that was it",
		"label/undo": "send anything: take back the last",
		health: "how the device is doing",
		info: "what it knows",
	},
};
