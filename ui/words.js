// Keys and values in, words for the reader out: English or Korean, by the browser's language or ?lang=.

import strings from "./strings.js";

const asked = new URLSearchParams(location.search).get("lang") ?? navigator.language ?? "en";

/** `en` or `ko`. */
export const language = /^ko\b/i.test(asked) ? "ko" : "en";

const table = strings[language];

/** The text under `key`, with `{name}` filled in from `values`. */
export function word(key, values = {}) {
  return fill(table.ui[key], values) ?? key;
}

/** The word for a camera's state; the server's own for a state this page does not know. */
export function stateWord(state) {
  return table.state[state] ?? state;
}

/** What is wrong, and what to do about it. A fault this page does not know is the server's English sentence, as `fix`. */
export function faultWords(fault) {
  const known = Object.hasOwn(table.fault, fault.code) ? table.fault[fault.code] : {};
  const [what, fix] = [fill(known.what, fault.args), fill(known.fix, fault.args)];
  return what === undefined || fix === undefined ? { what: "", fix: capital(fault.sentence) } : { what, fix };
}

/** Why a camera is not watched by WebRTC. A reason this page does not know is the server's English sentence. */
export function whyWords({ code, args = {}, sentence }) {
  const known = Object.hasOwn(table.why, code) ? fill(table.why[code], args) : undefined;
  return known ?? sentence ?? code;
}

/** A number with at most `digits` decimals. */
export function number(value, digits = 0) {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A span such as "3 h 5 min". */
export function span(total) {
  const [days, hours] = [Math.floor(total / 86400), Math.floor(total / 3600) % 24];
  const [minutes, seconds] = [Math.floor(total / 60) % 60, Math.floor(total) % 60];
  if (days > 0) return word("days", { days, hours });
  if (hours > 0) return word("hours", { hours, minutes });
  return minutes > 0 ? word("minutes", { minutes, seconds }) : word("seconds", { seconds });
}

/** Fills in the fixed words of `root`: every element with `data-word`. */
export function label(root) {
  for (const element of root.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
}

/** Undefined when there is no template, or a value that it needs is missing. */
function fill(template, values) {
  if (template === undefined) return undefined;
  let whole = true;
  const text = template.replace(/\{(\w+)\}/g, (_, name) => {
    whole &&= Object.hasOwn(values, name);
    return values[name];
  });
  return whole ? text : undefined;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
