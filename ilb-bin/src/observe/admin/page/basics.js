"use strict";
const $ = (selector, within = document) => within.querySelector(selector);
const set = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const stamp = id => $("#" + id).content.firstElementChild.cloneNode(true);
const make = (tag, text = "", className = "") => Object.assign(document.createElement(tag), { textContent: text, className });
const on = (node, type, handler) => node.addEventListener(type, handler);

/// Gives `parent` one child per item, in the order of the items. Children that exist already are kept and updated.
function each(parent, items, key, create, update) {
  const old = new Map([...parent.children].map(node => [node.dataset.key, node]));
  let at = null;
  for (const item of items) {
    const name = String(key(item));
    let node = old.get(name);
    if (!node) { node = create(item); node.dataset.key = name; }
    old.delete(name);
    const place = at ? at.nextElementSibling : parent.firstElementChild;
    if (place !== node) parent.insertBefore(node, place);
    update(node, item);
    at = node;
  }
  for (const node of old.values()) node.remove();
}

function ago(seconds) {
  if (seconds < 1) return Math.round(seconds * 1000) + " ms";
  if (seconds < 90) return Math.round(seconds) + " s";
  if (seconds < 5400) return Math.round(seconds / 60) + " min";
  if (seconds < 172800) return Math.round(seconds / 3600) + " h";
  return Math.round(seconds / 86400) + " days";
}
const millis = seconds => seconds < 10 ? (seconds * 1000).toFixed(seconds < .01 ? 1 : 0) + " ms" : ago(seconds);
const percent = ratio => (ratio * 100).toFixed(ratio < .0995 ? 1 : 0) + " %";
const many = (count, word) => count + " " + word + (count === 1 ? "" : "s");
const rate = number => number === null || number === undefined ? "–" : number.toFixed(number < 9.95 ? 1 : 0);
function bytes(number) {
  for (const unit of ["B", "KB", "MB", "GB"]) {
    if (number < 999.5) return number.toFixed(number < 9.95 && unit !== "B" ? 1 : 0) + " " + unit;
    number /= 1000;
  }
  return number.toFixed(1) + " TB";
}
