// The page begins here: the feed, the desk that panels are handed, and the workspace they stand in.

import { Api } from "./feed/api.mjs";
import { Feed } from "./feed/feed.mjs";
import { sessionDate } from "./format.mjs";
import { startActivity } from "./panels/activity.mjs";
import { showMarks } from "./panels/marking.mjs";
import { Signal } from "./signal.mjs";
import { language, t, translate } from "./words/words.mjs";
import { Commands } from "./workspace/commands.mjs";
import { freezeBy } from "./workspace/freeze.mjs";
import { Links } from "./workspace/links.mjs";
import { servePeople } from "./workspace/people.mjs";
import { askForToken } from "./workspace/login.mjs";
import { Marks } from "./workspace/marks.mjs";
import { say } from "./workspace/notice.mjs";
import { KINDS } from "./workspace/panels.mjs";
import { Settings } from "./workspace/settings.mjs";
import { showStatus } from "./workspace/status.mjs";
import { Workspace } from "./workspace/workspace.mjs";

/** @typedef {import("./workspace/panels.mjs").Desk} Desk */

document.documentElement.lang = language;
translate(document);

export { desk, workspace }; // for a console, and for tests that compare what is held

const settings = new Settings();
const feed = new Feed((config) => Object.assign(desk.config, config));

/** @type {Desk} */
const desk = {
  feed,
  api: new Api(() => feed.connection.refuse()),
  links: new Links(),
  commands: new Commands(),
  settings,
  marks: new Marks(settings, feed.day),
  config: { socket: "", mode: "", simulated: false, version: "" },
  issueClass: new Signal(""),
  frozen: new Signal(false),
  open: (kind, params) => workspace.open(kind, params),
  newDay: (listener) => feed.day.listen(listener),
  say,
  changed: (panel) => workspace.changed(panel),
};

const place = /** @type {HTMLElement} */ (document.getElementById("workspace"));
const workspace = new Workspace(place, desk, KINDS);
showStatus(feed);
servePeople(desk, workspace);
desk.commands.add({ id: "marks", title: () => t("marks.title"), run: () => showMarks(desk) });
startActivity(desk);
freezeBy(desk.commands, desk.frozen);
askForToken(desk);
desk.newDay(() => desk.say(t("day.begun", { session: sessionDate(feed.day.value ?? "") })));
document.getElementById("layouts")?.addEventListener("click", () => workspace.layouts.show());
document.getElementById("class")?.addEventListener("change", ({ target }) => desk.issueClass.set(/** @type {HTMLInputElement} */ (target).value));
