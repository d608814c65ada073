// While the market is simulated: a key and a button that cut its feed for some seconds, so that a newcomer sees staleness and recovery.

import { button } from "../element.mjs";
import { t } from "../words/words.mjs";

/** @param {import("./panels.mjs").Desk} desk */
export function offerCut(desk) {
  const cut = async () => {
    try {
      const { seconds } = await desk.api.post("api/simulated/cut");
      desk.say(t("cut.said", { seconds }));
    } catch (error) {
      desk.say(/** @type {Error} */ (error).message);
    }
  };
  const press = button(t("cut.press"), () => void cut());
  /** @type {HTMLElement} */ (document.getElementById("marked")).append(press);
  /** @type {(() => void) | undefined} */
  let take;
  desk.feed.status.follow(({ mode }) => {
    press.hidden = mode !== "SIMULATED";
    take?.();
    take = mode === "SIMULATED" ? desk.commands.add({ id: "simulated.cut", title: () => t("cut.press"), keys: "X", run: () => void cut() }) : undefined;
  });
}
