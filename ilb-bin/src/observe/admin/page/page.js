const CHARTS = {
  connections: { title: "Connections", series: ["connections"], show: v => v.toFixed(v < 9.95 && v % 1 ? 1 : 0) },
  opened: { title: "Opened and closed / s", series: ["opened", "closed"], show: rate },
  bytes: { title: "Bytes / s", series: ["bytes"], show: bytes },
  failed: { title: "Failed dials / s", series: ["failed"], show: v => v.toFixed(2) },
  imbalance: { title: "Imbalance", series: ["imbalance"], show: percent, least: .05 },
};
const COLUMNS = [
  ["who", "Backend", b => b.pod || b.address], ["state", "State", b => RANK.indexOf(b.state)], ["load", "Load", null],
  ["count", "Connections", b => -(b.established || 0)], ["rate", "New / s", b => -(b.rate || 0)], ["spark", "Trend", null],
  ["weight", "Weight", b => -(b.weights[0] || 0)], ["ahead", "Head start", b => -(b.head_start || 0)], ["why", "Why", b => b.why],
];
const RANK = ["failing", "suspect", "not ready", "draining", "ready"];
const WORST = ["error", "warning", "unknown", "ok"];

let latest = null, shown = null, events = [], eventsShown = 30;
const open = new Set(), chosen = new Map(), order = new Map(), histories = new Map(), inside = new Map();
const pressed = id => $("#" + id).getAttribute("aria-pressed") === "true";
const query = () => $("#search").value.trim().toLowerCase();
const fits = (...texts) => texts.some(text => text && String(text).toLowerCase().includes(query()));
const anchor = name => "pool-" + name;

function show() {
  if (!latest) return;
  const status = shown = latest;
  const summary = $("#summary");
  if (!pause) summary.className = status.summary.severity;
  const problems = showProblems(status), more = problems.length - 1;
  // The list has them all.
  if (!pause) set(summary, status.level === "degraded" && more > 0 ? `degraded: ${problems[0].text}; and ${more} more` : status.summary.text);
  set($("#about"), status.summary.detail);
  if (pause) showPaused(); else showState(status.summary.severity);
  showFleet(status);
  const by = {
    severity: (a, b) => WORST.indexOf(a.severity) - WORST.indexOf(b.severity) || a.name.localeCompare(b.name),
    name: (a, b) => a.name.localeCompare(b.name),
    connections: (a, b) => connections(b) - connections(a),
    imbalance: (a, b) => (b.imbalance.ratio || 0) - (a.imbalance.ratio || 0),
  }[$("#sort").value];
  const hit = pool => fits(pool.name, pool.entry_point, pool.source && pool.source.text) || pool.backends.some(b => fits(b.pod, b.address, b.node, b.zone, b.state));
  const pools = status.pools.filter(hit).sort(by);
  if (status.pools.length === 1 && !show.opened) open.add(status.pools[0].name);
  show.opened = true;
  each($("#pools"), pools, pool => pool.name, createPool, showPool);
  $("#nothing").hidden = pools.length > 0;
  const pushes = status.traefik.pushes_last_minute;
  set($("#pushes"), `Pushes to Traefik in the last minute: ${pushes.balance} for balance, ${pushes.other} for other reasons`);
  status.events.last.forEach(takeIn);
  showEvents();
}
const connections = pool => pool.backends.reduce((sum, b) => sum + (b.established || 0) + (b.half_closed || 0) + (b.opening || 0), 0);

/// The replicas before the same backends: this one, and what it knows of its siblings.
function showFleet(status) {
  const others = status.siblings ? status.siblings.siblings : [];
  $("#fleet").hidden = !others.length;
  if (!others.length) return;
  const shared = status.pools.filter(pool => pool.sharing);
  const sum = (pools, of) => pools.reduce((all, pool) => all + of(pool), 0);
  const between = shares => !shares.length ? "–" : [...new Set([Math.min(...shares), Math.max(...shares)].map(percent))].join(" to ");
  const rows = [{
    key: "", name: status.instance.pod || "this replica", place: status.instance.node ? "on " + status.instance.node : "",
    state: status.level, bad: status.summary.severity, connections: sum(shared, connections), share: between(shared.map(pool => pool.sharing.share)),
  }];
  for (const one of others) {
    const reports = shared.flatMap(pool => pool.sharing.siblings.filter(s => s.replica === one.replica));
    rows.push({
      key: one.address, name: one.address, place: one.heard ? "" : one.problem, bad: one.heard ? "ok" : "warning",
      state: (one.heard ? "heard for " : "not heard for ") + ago(one.for_seconds),
      connections: one.heard || reports.length ? sum(reports, s => s.connections || 0) : null,
      share: between(reports.map(s => s.share).filter(share => share !== null)),
    });
  }
  each($("#fleet tbody"), rows, row => row.key, () => stamp("replica"), (line, row) => {
    const [who, state, count, share] = line.children;
    set(who.firstChild, row.name);
    set(who.lastChild, row.place);
    set(state, row.state);
    state.className = row.bad;
    set(count, row.connections === null ? "–" : String(row.connections));
    set(share, row.share);
  });
}

/// Health as exceptions: what is well is not listed.
function showProblems(status) {
  const problems = [];
  /// The page that says what to do about something, by its kind or by its sentence.
  const book = (pool, ...known) => (status.reasons.find(r => (r.pool || "") === pool && (known.includes(r.kind) || known.includes(r.text))) || {}).runbook;
  const add = (about, state, more, ...kinds) => {
    if (state && state.severity !== "ok") problems.push({ severity: state.severity, text: [about + ": " + state.text, state.detail, more].filter(Boolean).join(", "), book: book("", ...kinds) });
  };
  add("Traefik", status.traefik.summary, status.traefik.problem && status.traefik.problem.text, "not in force", "another writer");
  for (const one of status.traefik.instances) add("Traefik " + one.instance, one.summary, "", "Traefik instance");
  add("Closer", status.closer && status.closer.summary, "", "closer");
  add("Siblings", status.siblings && status.siblings.summary, "", "siblings");
  for (const pool of status.pools) {
    for (const text of pool.degraded) problems.push({ severity: pool.severity, text: "Pool " + pool.name + ": " + text, pool: pool.name, book: book(pool.name, text) });
    if (pool.complaints.count) {
      const first = pool.complaints.listed[0];
      const text = `Pool ${pool.name}: ${many(pool.complaints.count, "object")} with a mistake, such as ${first.object}: ${first.text}`;
      problems.push({ severity: "warning", text, pool: pool.name, book: book(pool.name, "complaints") });
    }
  }
  for (const text of status.degraded.filter(text => text.startsWith("settings: "))) problems.push({ severity: "warning", text, book: book("", "settings refused") });
  problems.sort((a, b) => WORST.indexOf(a.severity) - WORST.indexOf(b.severity));
  const box = $("#problems");
  box.hidden = !problems.length;
  box.className = `card box ${problems.some(p => p.severity === "error") ? "error" : "warning"}-box`;
  each($("ul", box), problems, p => p.text, p => {
    const item = make("li");
    if (p.pool) item.append(Object.assign(make("a", p.text), { href: "#" + anchor(p.pool) })); else item.append(make("span", p.text));
    const more = make("a", "what to do", "runbook");
    more.rel = "noreferrer";
    more.target = "_blank";
    more.setAttribute("aria-label", "what to do about: " + p.text);
    item.append(" ", more);
    return item;
  }, (item, p) => {
    item.className = p.severity;
    item.lastChild.hidden = !p.book;
    if (p.book && item.lastChild.getAttribute("href") !== p.book) item.lastChild.href = p.book;
  });
  return problems;
}

function createPool(pool) {
  const node = stamp("pool"), row = $(".row", node);
  node.id = anchor(pool.name);
  $(".inside", node).id = "inside-" + pool.name;
  row.setAttribute("aria-controls", "inside-" + pool.name);
  on(row, "click", () => {
    if (open.has(pool.name)) open.delete(pool.name); else open.add(pool.name);
    show();
    quietly(loadInside);
  });
  for (const [name, chart] of Object.entries(CHARTS)) {
    const button = Object.assign(make("button", chart.title), { type: "button" });
    button.dataset.chart = name;
    on(button, "click", () => { chosen.set(pool.name, name); show(); });
    $(".charts", node).append(button);
  }
  const link = $(".link", node);
  link.setAttribute("aria-label", "Copy link to pool " + pool.name);
  on(link, "click", () => quietly(() => copy(link, location.href.split("#")[0] + "#" + encodeURIComponent(anchor(pool.name)), $(".link-text", node))));
  for (const [name, title, by] of COLUMNS) {
    const head = make("th", by ? "" : title, name === "weight" || name === "ahead" ? "detail" : "");
    head.scope = "col";
    head.dataset.column = name;
    if (["count", "rate", "weight", "ahead"].includes(name)) head.classList.add("number");
    if (by) {
      const button = Object.assign(make("button", title), { type: "button" });
      on(button, "click", () => {
        const [column, down] = order.get(pool.name) || [];
        order.set(pool.name, [name, column === name && !down]);
        show();
      });
      head.append(button);
    }
    $("thead tr", node).append(head);
  }
  const plot = $(".chart", node);
  const again = () => showChart(node, shown.pools.find(p => p.name === pool.name) || pool);
  on(plot, "pointermove", event => {
    const box = plot.getBoundingClientRect();
    plot.dataset.at = Math.min(.9999, Math.max(0, (event.clientX - box.left) / box.width)).toFixed(4);
    again();
  });
  on(plot, "pointerleave", () => { delete plot.dataset.at; again(); });
  return node;
}

function showPool(node, pool) {
  const isOpen = open.has(pool.name), row = $(".row", node), history = histories.get(pool.name);
  row.setAttribute("aria-expanded", String(isOpen));
  set($(".name", row), pool.name);
  const word = $(".state-word", row);
  word.className = "state-word " + pool.severity;
  set(word, pool.level);
  const all = pool.omitted + pool.backends.length;
  set($(".ready", row), pool.count.ready + " / " + all);
  set($(".connections", row), pool.counting.state === "counting" ? String(connections(pool)) : "–");
  set($(".new", row), pool.rates ? rate(pool.rates.opened_per_second) : "–");
  set($(".uneven", row), pool.imbalance.ratio === null ? "–" : percent(pool.imbalance.ratio));
  curve($(".spark", row), history ? history.connections : []);
  $(".inside", node).hidden = !isOpen;
  if (!isOpen) return;
  each($(".reasons", node), pool.degraded, text => text, text => make("li", text, "warning"), () => {});
  const facts = [["Source", pool.source ? pool.source.text : ""], ["Entry point", pool.entry_point], ["Backends", pool.text]];
  const state = (title, s) => { if (s) facts.push([title, [s.text, s.detail].filter(Boolean).join(", ")]); };
  state("Discovery", pool.discovery.summary);
  if (pool.discovery.problem) facts.push(["Error", pool.discovery.problem.text]);
  state("Balancing", pool.balancing);
  state("Closing", pool.closing && pool.closing.summary);
  state("Limit", pool.limit && pool.limit.summary);
  state("Zones", pool.zones && pool.zones.summary);
  state("Sharing", pool.sharing && pool.sharing.summary);
  facts.push(["Imbalance", pool.imbalance.text]);
  for (const one of pool.complaints.listed) facts.push([one.object, one.text + (one.left_out ? ": left out" : "")]);
  each($(".facts", node), facts.filter(f => f[1]), f => f[0], f => { const p = make("p"); p.append(make("b", f[0] + " "), make("span")); return p; }, (p, f) => set(p.lastChild, f[1]));
  showChart(node, pool);
  const loads = pool.backends.map(b => (b.established || 0) + (b.opening || 0)), most = Math.max(1, ...loads);
  const taking = pool.backends.filter(b => b.state === "ready" && b.established !== null);
  const shares = taking.reduce((sum, b) => sum + b.capacity, 0);
  const mean = shares ? taking.reduce((sum, b) => sum + b.established + b.opening, 0) / shares : null;
  const [column, down] = order.get(pool.name) || [], by = (COLUMNS.find(c => c[0] === column) || [])[2];
  const list = pool.backends.map(b => ({ ...b, rate: latestOf(pool, b, "opened") }))
    .filter(b => fits(pool.name, pool.entry_point) || fits(b.pod, b.address, b.node, b.zone, b.state));
  if (by) list.sort((a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0) * (down ? -1 : 1));
  for (const head of $("thead tr", node).children) {
    if (head.dataset.column === column) head.setAttribute("aria-sort", down ? "descending" : "ascending"); else head.removeAttribute("aria-sort");
  }
  each($("tbody", node), list, b => b.address, createBackend, (line, b) => showBackend(line, pool, b, most, mean));
  $("table", node).hidden = !pool.backends.length;
  const notes = [pool.note, pool.omitted && `and ${many(pool.omitted, "more backend")}: the status as JSON has all`].filter(Boolean);
  $(".note", node).hidden = !notes.length;
  set($(".note", node), notes.join(" "));
}

function latestOf(pool, backend, series) {
  const history = inside.get(pool.name), own = history && history.backends.find(one => one.address === backend.address);
  const known = own ? own[series].slice(0, -1).filter(v => v !== null) : [];
  return known.length ? known.at(-1) : null;
}

function createBackend() {
  const line = stamp("backend"), [name, address] = [$(".who b", line), $(".address", line)].map(copyButton);
  name.classList.add("of-name");
  address.classList.add("of-address");
  return line;
}

function showBackend(line, pool, b, most, mean) {
  line.className = b.state === "ready" ? "" : "leaving";
  const who = $(".who", line), name = b.pod || b.address, state = $(".state", line);
  set($("b", who), name);
  set($(".capacity", who), b.capacity > 1 ? " ×" + b.capacity : "");
  set($(".address", who), b.pod ? b.address : "");
  set($(".place", who), [b.node && "on " + b.node, b.zone && "zone " + b.zone].filter(Boolean).join(", "));
  for (const [part, text] of [["name", name], ["address", b.address]]) $(".of-" + part, who).setAttribute("aria-label", "Copy " + text);
  $(".of-address", who).hidden = !b.pod;
  showLinks($(".links", who), pool, b);
  state.dataset.state = b.state;
  set(state, b.state);
  set(state.nextElementSibling, [b.state_seconds !== null && "for " + ago(b.state_seconds), b.restarts && many(b.restarts, "restart")].filter(Boolean).join(", "));
  if (b.state_seconds !== null) state.nextElementSibling.title = "since " + atClockOfZone(timeAgo(b.state_seconds + (now() - lastMessage) / 1000));
  const known = b.established !== null;
  $(".bar", line).hidden = !known;
  $(".established", line).style.width = known ? b.established / most * 100 + "%" : "0";
  const opening = $(".opening", line);
  opening.hidden = !b.opening;
  opening.style.width = (b.opening || 0) / most * 100 + "%";
  const tick = $(".mean", line);
  tick.hidden = !mean || b.state !== "ready";
  tick.style.left = Math.min(100, (mean || 0) * b.capacity / most * 100) + "%";
  const all = b.total === null || b.total === undefined ? "" : ` of ${b.total}`;
  set($(".count", line), !known ? "–" : (b.opening ? `${b.established} + ${b.opening} opening` : String(b.established)) + all);
  set($(".rate", line), rate(b.rate));
  const history = inside.get(pool.name), own = history && history.backends.find(one => one.address === b.address);
  curve($("svg.spark", line), own ? own.connections : []);
  set($(".weight", line), b.weights.join(" ") || "–");
  set($(".ahead", line), b.head_start === null ? (b.weights.length ? "" : "–") : b.head_start ? "+" + b.head_start : "0");
  const why = $(".why", line);
  set(why, b.why);
  why.title = [b.rtt_seconds !== null && "RTT " + millis(b.rtt_seconds), b.retransmits && many(b.retransmits, "retransmit"),
    b.unanswered && many(b.unanswered, "failed dial"), b.closed_by_backend && b.closed_by_backend + " closed by the backend"].filter(Boolean).join(", ");
}

/// Draws values as a curve with gaps, from 0 to the highest of them or to `least`.
function curve(svg, values, top = 0, second = []) {
  const highest = Math.max(top, ...values.filter(v => v !== null), ...second.filter(v => v !== null));
  // The curve of a young ilb begins in the middle rather than being stretched.
  const slots = Math.max(24, values.length), before = slots - values.length;
  const height = v => 39 - Math.min(1, v / (highest || 1)) * 37;
  const lines = of => {
    let line = "", area = "", run = [];
    const end = () => {
      if (run.length === 1) run = [[run[0][0] - .5, run[0][1]], [run[0][0] + .5, run[0][1]]];
      if (run.length) {
        const points = run.map(([x, y]) => x.toFixed(2) + " " + y.toFixed(2)).join("L");
        line += "M" + points;
        area += `M${run[0][0].toFixed(2)} 40L${points}L${run.at(-1)[0].toFixed(2)} 40Z`;
      }
      run = [];
    };
    of.forEach((v, n) => v === null ? end() : run.push([before + n + .5, height(v)]));
    end();
    return [line, area];
  };
  svg.setAttribute("viewBox", `0 0 ${slots} 40`);
  const [line, area] = lines(values);
  $(".curve", svg).setAttribute("d", line);
  $(".area", svg).setAttribute("d", area);
  if ($(".second", svg)) $(".second", svg).setAttribute("d", lines(second)[0]);
  return { slots, before, highest };
}

function showChart(node, pool) {
  const name = chosen.get(pool.name) || "connections", chart = CHARTS[name], svg = $(".chart", node);
  for (const button of $(".charts", node).children) button.setAttribute("aria-pressed", String(button.dataset.chart === name));
  const history = inside.get(pool.name) || histories.get(pool.name);
  if (!history) return;
  const [values, second = []] = chart.series.map(series => history[series]);
  const { slots, before, highest } = curve(svg, values, chart.least || 0, second);
  const step = history.step_seconds, length = slots * step;
  // Events of the pool and of all pools, where they happened.
  const marks = events.filter(event => (!event.pool || event.pool === pool.name) && age(event) < length);
  each($("g", svg), marks.slice(0, 60), event => event.number, () => stamp("mark").firstElementChild, (line, event) => {
    const x = slots - age(event) / step;
    for (const at of ["x1", "x2"]) line.setAttribute(at, x.toFixed(2));
    line.setAttribute("class", "event " + event.severity);
  });
  const moment = seconds => atClockOfZone(timeAgo(seconds)) + (pause ? "" : `, ${ago(seconds)} ago`);
  set($(".from", node), atClock(timeAgo(length)) + (pause ? "" : `, ${ago(length)} ago`));
  set($(".to", node), pause ? atClock(pause.time) : "now");
  set($(".top", node), "highest " + chart.show(highest));
  const cursor = $(".cursor", svg), at = svg.dataset.at, value = $(".value", node);
  const index = at === undefined ? values.findLastIndex(v => v !== null) : Math.min(values.length - 1, Math.max(0, Math.floor(at * slots) - before));
  cursor.toggleAttribute("hidden", at === undefined);
  for (const x of ["x1", "x2"]) cursor.setAttribute(x, (before + index + .5).toFixed(2));
  const when = at === undefined ? "last" : moment((values.length - index - .5) * step);
  const texts = chart.series.map((series, n) => { const v = [values, second][n][index]; return `${series} ${v === null || v === undefined ? "–" : chart.show(v)}`; });
  const near = at === undefined ? [] : marks.filter(event => Math.abs(slots - age(event) / step - before - index - .5) <= 1).map(event => event.text);
  set(value, [when + ": " + texts.join(", "), ...near.slice(0, 3)].join(" · "));
  svg.setAttribute("aria-label", `${chart.title} of pool ${pool.name}, ${texts.join(", ")}, highest ${chart.show(highest)}`);
}

function showEvents() {
  events.sort((a, b) => b.number - a.number);
  events.length = Math.min(events.length, 2000);
  const list = events.filter(event => fits(event.text, event.pool, event.pod, event.node, event.backend, event.kind));
  each($("#log"), list.slice(0, eventsShown), event => event.first_number, event => {
    const item = make("li");
    item.append(make("time"), make("span", "", event.severity));
    return item;
  }, (item, event) => {
    const time = item.firstChild;
    time.dateTime = time.title = event.time;
    set(time, atClock(new Date(event.time)));
    const times = event.times > 1 ? ` (${event.times} times in ${ago(event.first_age_seconds - event.age_seconds)})` : "";
    set(item.lastChild, (event.pool && !event.text.includes("ool " + event.pool) ? "pool " + event.pool + ": " : "") + event.text + times);
  });
  $("#more").hidden = list.length <= eventsShown;
}

const get = async path => {
  const response = await fetch(path, { cache: "no-store" });
  if (!response.ok) throw new Error(path + ": " + response.status);
  return response.json();
};
const span = () => pressed("span") ? "span=day" : "span=ten-minutes";
async function loadHistory() {
  const document = await get("history?" + span());
  if (pause) return;
  histories.clear();
  for (const pool of document.pools) histories.set(pool.name, { ...pool, step_seconds: document.step_seconds });
}
async function loadInside() {
  if (pause) return;
  const wanted = [...open].filter(name => latest && latest.pools.some(pool => pool.name === name)).slice(0, 10);
  await Promise.all(wanted.map(async name => {
    const document = await get(`history?pool=${encodeURIComponent(name)}&${span()}`);
    if (!pause) inside.set(name, { ...document.pools[0], backends: document.backends, step_seconds: document.step_seconds });
  }));
  if (!pause) show();
}
async function loadEvents() {
  const found = (await get("events")).events.map(remember);
  if (!pause) events = found;
}
/// Adds an event, or puts one that has happened again in the place of its last occurrence.
function takeIn(event) {
  const at = events.findIndex(known => known.first_number === event.first_number);
  if (at < 0) events.push(remember(event)); else if (events[at].number < event.number) events[at] = remember(event);
}
const remember = event => { setClock(event); return { ...event, at: performance.now() - event.age_seconds * 1000 }; };
const age = event => (now() - event.at) / 1000;
const quietly = work => work().catch(() => {});

function receive(status) {
  if (pause) return;
  // Another process counts its events from the beginning: one that has started since the last message, or that of another pod.
  const hasStarted = performance.now() - status.uptime_seconds * 1000 > lastMessage;
  if (latest && (hasStarted || status.instance.pod !== latest.instance.pod)) [events, clockSetBy] = [[], 0];
  lastMessage = performance.now();
  showConnected(true);
  const missed = status.events.last.length && events.length && status.events.last.at(-1).number > Math.max(...events.map(e => e.number)) + 1;
  if (!events.length || missed) quietly(loadEvents);
  latest = status;
  show();
}

let lastMessage = performance.now(), liveSince = lastMessage, source, everOpened = false;
function connect() {
  if (source) source.close();
  source = new EventSource("stream");
  source.onmessage = event => { everOpened = true; receive(JSON.parse(event.data)); };
}
function showConnected(connected) {
  $("#away").hidden = connected;
  document.body.classList.toggle("away", !connected);
  if (connected) return;
  $("#summary").className = "error";
  set($("#summary"), "unknown: ilb does not answer");
  showState("error");
  set($("#away-title"), latest ? "No connection to ilb" : "No status received yet");
  const old = ago((performance.now() - lastMessage) / 1000);
  set($("#away-text"), latest
    ? `The data below is ${old} old. This page continues by itself once ilb answers again.`
    : "The page was loaded, but neither its stream of statuses nor the status itself arrives. A proxy in between may not pass them on.");
}
const logo = atob($("link[rel=icon]").href.split(",")[1]);
/// Shows the state where a tab does: in the title, and as a dot in the icon.
function showState(severity) {
  const [symbol, colour] = { ok: ["●", "#2b7a4b"], warning: ["◐", "#d9a53f"], paused: ["‖", "#767d84"] }[severity] || ["▲", "#b3261e"];
  const name = latest && latest.instance.pod;
  document.title = symbol + " " + (pause ? `paused since ${atClock(pause.time)}: ` : "") + (name || "ilb");
  const icon = $("link[rel=icon]");
  if (icon.dataset.severity === severity) return;
  icon.dataset.severity = severity;
  const dot = `<circle cx="48" cy="48" r="15" fill="${colour}" stroke="#fff" stroke-width="4"/></svg>`;
  icon.href = "data:image/svg+xml;base64," + btoa(logo.replace("</svg>", dot));
}

// A browser stops reconnecting after some errors, and does not notice a host that vanished. There is an event per second.
// Where a proxy holds the stream back, the status is asked for instead.
setInterval(() => {
  if (pause) return;
  const silent = (performance.now() - Math.max(lastMessage, liveSince)) / 1000;
  if (silent > 2 && !everOpened) quietly(async () => receive(await get("status")));
  if (silent > 4) showConnected(false);
  if (source.readyState === EventSource.CLOSED) connect();
}, 1000);
setInterval(() => { if (latest && !document.hidden && !pause) { quietly(loadHistory); quietly(loadInside); } }, 5000);
for (const id of ["span", "details"]) on($("#" + id), "click", event => {
  event.target.setAttribute("aria-pressed", String(!pressed(id)));
  document.body.classList.toggle("details", pressed("details"));
  if (id === "span") { inside.clear(); quietly(loadHistory).then(() => quietly(loadInside)); }
  show();
});
on($("#search"), "input", show);
on($("#sort"), "change", show);
on($("#more"), "click", () => { eventsShown += 100; show(); });
on(document, "keydown", event => { if (event.key === "/" && document.activeElement !== $("#search")) { event.preventDefault(); $("#search").focus(); } });
/// Opens the pool that the address names.
function follow() {
  const name = decodeURIComponent(location.hash).replace("#pool-", "");
  if (!name) return;
  show.opened = true;
  open.add(name);
  show();
  quietly(loadInside);
  const node = document.getElementById(anchor(name));
  if (node) node.scrollIntoView();
}
on(window, "hashchange", follow);
follow();
connect();
setTimeout(() => { quietly(loadHistory).then(() => quietly(loadInside)); }, 300);
