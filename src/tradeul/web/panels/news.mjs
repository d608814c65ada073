// Filings at the SEC and news of a ticker, the newest first; what appears while it is open is added as it comes.

import { element } from "../element.mjs";
import { sessionDate, timeOfDay } from "../format.mjs";
import { t } from "../words/words.mjs";
import { plain, told } from "./plain.mjs";
import { tickerKind } from "./ticker.mjs";

const MOST_SHOWN = 200;
const AGAIN_MS = 60_000; // what the socket missed while it was lost

/**
 * @typedef {{key: string, at: string, kind: "filing" | "news", what: string, isWarning: boolean, text: string, from: string, url: string | null}} Piece
 */

export const news = tickerKind("news", async (place) => {
  /** @type {Map<string, Piece>} */
  const pieces = new Map();
  /** @type {Record<string, string>} what cannot be had, by kind */
  let lacking = {};
  const draw = () => {
    const newest = [...pieces.values()].sort((one, other) => (one.at < other.at ? 1 : -1)).slice(0, MOST_SHOWN);
    for (const key of [...pieces.keys()]) if (!newest.some((each) => each.key === key)) pieces.delete(key);
    const list = element("ol", "pieces");
    list.append(...newest.map(line));
    place.body.replaceChildren(...Object.values(lacking).map((sentence) => element("p", "lacking", sentence)), list);
    place.say(newest.length || Object.keys(lacking).length ? "" : t("news.none", { symbol: place.symbol }));
  };
  const load = async () => {
    const ticker = encodeURIComponent(place.symbol);
    const [filings, articles] = await Promise.allSettled([
      place.desk.api.get(`api/v1/filings?ticker=${ticker}&page_size=100`),
      place.desk.api.get(`api/v1/news?ticker=${ticker}`),
    ]);
    if (place.lifetime.aborted) return;
    lacking = {};
    if (filings.status === "fulfilled") for (const each of filings.value.filings) add(pieces, ofFiling(each));
    else lacking.filing = t("news.no_filings", { reason: plain(filings.reason.message) });
    if (articles.status === "fulfilled") for (const each of articles.value.news) add(pieces, ofArticle(each));
    else lacking.news = t("news.no_news", { reason: plain(articles.reason.message) });
    place.asOf(place.desk.feed.clock.now());
    draw();
  };
  const stop = place.desk.feed.told((message) => {
    if (!message.tickers.includes(place.symbol)) return;
    add(pieces, message.type === "filing" ? ofFiling(message) : ofArticle(message));
    draw();
  });
  place.untilEnd(stop);
  await load();
  place.every(AGAIN_MS, load);
});

/** @param {Map<string, Piece>} pieces @param {Piece} piece */
const add = (pieces, piece) => void pieces.set(piece.key, piece);

/** @param {any} filing @returns {Piece} */
function ofFiling({ accession, form, words, dilutes, accepted_at, items, filers, url }) {
  const codes = items.map((/** @type {any} */ { code, words: meaning }) => (meaning ? `${code} ${meaning}` : code)).join(" · ");
  const from = filers.map((/** @type {any} */ { name }) => name).join(", ");
  return { key: accession, at: accepted_at, kind: "filing", what: form, isWarning: dilutes, text: codes || words || form, from, url };
}

/** @param {any} article @returns {Piece} */
function ofArticle({ id, published_at, headline, publisher, url }) {
  return { key: id, at: published_at, kind: "news", what: t("news.news"), isWarning: false, text: headline, from: publisher ?? "", url };
}

/** @param {Piece} piece */
function line({ at, kind, what, isWarning, text, from, url }) {
  const made = element("li", kind);
  const when = /** @type {HTMLTimeElement} */ (element("time", "", timeOfDay(at).slice(0, 5)));
  when.dateTime = at;
  const day = element("span", "muted", sessionDate(newYorkDate(at)).slice(0, -5));
  const tag = element("span", isWarning ? "tag halt" : "tag", plain(what));
  if (isWarning) tag.title = t("news.dilutes");
  const words = element("p");
  words.append(tag, " ", told("words", text, url), " ", told("muted", from));
  made.append(day, when, words);
  return made;
}

const dateOf = new Intl.DateTimeFormat("en-CA", { timeZone: "America/New_York", year: "numeric", month: "2-digit", day: "2-digit" });

/** @param {string} instant */
const newYorkDate = (instant) => dateOf.format(new Date(instant));
