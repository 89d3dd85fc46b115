/// What the reader chooses: colours, clock, pause; and what the reader takes away.
function recall(name) { try { return localStorage.getItem("ilb-" + name); } catch { return null; } }
/// Remembers a choice in this browser. Where that is forbidden, it lasts as long as the page.
function keep(name, value) { try { localStorage.setItem("ilb-" + name, value); } catch { /* as above */ } }

/// Makes a choice of the reader, now as it is remembered and later when it changes.
function choice(name, apply) {
  const select = $("#" + name), known = recall(name);
  if ([...select.options].some(option => option.value === known)) select.value = known;
  on(select, "change", () => { keep(name, select.value); apply(select.value); show(); });
  apply(select.value);
}

let clock = {};
/// Chooses the zone of all times: that of the browser, or UTC.
function setZone(zone) {
  const format = options => new Intl.DateTimeFormat(undefined, { ...options, timeZone: zone === "utc" ? "UTC" : undefined });
  clock = {
    time: format({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
    day: format({ day: "numeric", month: "short" }),
    zone: format({ timeZoneName: "short" }),
  };
}
/// Formats a time, with its day if that is another one.
const atClock = date => (clock.day.format(date) === clock.day.format(new Date()) ? "" : clock.day.format(date) + ", ") + clock.time.format(date);
const atClockOfZone = date => atClock(date) + " " + clock.zone.formatToParts(date).find(part => part.type === "timeZoneName").value;
/// By how many milliseconds the clock of ilb is ahead of that of this browser, as its newest event shows it.
let clockAhead = 0, clockSetBy = 0;
function setClock(event) {
  if (event.number >= clockSetBy) [clockSetBy, clockAhead] = [event.number, Date.parse(event.time) + event.age_seconds * 1000 - Date.now()];
}
/// Returns the time some seconds ago, by the clock of ilb.
const timeAgo = seconds => new Date((pause ? pause.time.getTime() : Date.now() + clockAhead) - seconds * 1000);

/// The moment at which the reader has stopped the page, by the page's stopwatch and by the clock; `null` while it is live.
let pause = null;
const now = () => pause ? pause.at : performance.now();

function setPaused(isPaused) {
  const time = timeAgo(0), silent = (performance.now() - lastMessage) / 1000;
  pause = isPaused ? { at: performance.now(), time, statusTime: latest && silent > 4 ? timeAgo(silent) : null } : null;
  $("#pause").setAttribute("aria-pressed", String(isPaused));
  $("#span").disabled = isPaused;
  $("#paused").hidden = !isPaused;
  document.body.classList.toggle("still", isPaused);
  if (isPaused) {
    source.close();
    $("#away").hidden = true;
    document.body.classList.remove("away");
    showPaused();
    return show();
  }
  liveSince = performance.now();
  $("#summary").className = "unknown";
  set($("#summary"), "connecting");
  showState("warning");
  connect();
  quietly(loadEvents);
  quietly(loadHistory).then(() => quietly(loadInside));
  $("#pause").focus();
}
/// Says that the page is stopped, since when, and what it showed last.
function showPaused() {
  const since = "paused since " + atClockOfZone(pause.time), of = pause.statusTime && atClockOfZone(pause.statusTime);
  const was = !latest ? "no status received yet" : of ? "ilb did not answer; the status is that of " + of : latest.summary.text;
  $("#summary").className = "paused";
  set($("#summary"), `${since} (${was})`);
  set($("#paused span"), `P${since.slice(1)}: nothing here is updated.`);
  showState("paused");
}
on($("#pause"), "click", () => setPaused(!pause));
on($("#paused button"), "click", () => setPaused(false));

/// Copies a text in whatever way the browser allows: over plain HTTP there is no `navigator.clipboard`.
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* the old way */ }
  const area = Object.assign(make("textarea", text, "hidden-text"), { readOnly: true }), before = document.activeElement;
  document.body.append(area);
  area.focus({ preventScroll: true });
  area.select();
  try { return document.execCommand("copy"); } catch { return false; } finally { area.remove(); before.focus({ preventScroll: true }); }
}
/// Copies a text that `node` shows. Where that is impossible, the text there is selected instead.
async function copy(button, text, node) {
  const isCopied = await toClipboard(text);
  if (!isCopied) {
    node.hidden = false;
    set(node, text);
    getSelection().selectAllChildren(node);
  }
  button.dataset.said = isCopied ? "copied" : "selected";
  set($("#said"), text + (isCopied ? " copied" : " selected: copy it with the keyboard or the menu"));
  clearTimeout(button.timer);
  button.timer = setTimeout(() => { delete button.dataset.said; set($("#said"), ""); }, 3000);
}
/// Makes a button that copies what `node` shows, and puts it behind it.
function copyButton(node) {
  const button = stamp("copy");
  on(button, "click", () => quietly(() => copy(button, node.textContent, node)));
  node.after(" ", button);
  return button;
}

/// Fills in a link of a backend; `null` if it needs what is not known.
function linkOf(template, pool, b) {
  const values = { pod: b.pod, namespace: b.namespace, node: b.node, address: b.address, pool: pool.name };
  let isWhole = true;
  const url = template.replace(/\{(\w+)\}/g, (_, name) => { isWhole = isWhole && Boolean(values[name]); return encodeURIComponent(values[name]); });
  return isWhole ? url : null;
}
function showLinks(node, pool, b) {
  const links = (shown.backend_links || []).map(link => ({ name: link.name, url: linkOf(link.url, pool, b) })).filter(link => link.url);
  each(node, links, link => link.name, link => Object.assign(make("a", link.name), { target: "_blank", rel: "noopener noreferrer" }), (a, link) => {
    if (a.getAttribute("href") !== link.url) a.href = link.url;
    a.setAttribute("aria-label", `${link.name} of ${b.pod || b.address}, in a new tab`);
  });
}

// A palette of the system stays as it is.
const forced = matchMedia("(forced-colors: active)");
const setTheme = () => { document.documentElement.dataset.theme = forced.matches ? "system" : $("#theme").value; };
choice("theme", setTheme);
on(forced, "change", setTheme);
set($("#clock option"), Intl.DateTimeFormat().resolvedOptions().timeZone + " (local)");
choice("clock", setZone);
