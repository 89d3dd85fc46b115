/// Connections are only asked for while they are shown: that makes ilb ask the kernel.
const FLOWS = [
  ["client", "Client", "client"], ["backend", "Backend", "backend"], ["pool", "Pool", null],
  ["age", "Open for", "age"], ["to", "To backend", "to-backend"], ["from", "From backend", "from-backend"],
  ["rtt", "RTT", "rtt"], ["quiet-for", "Quiet for", "quiet"],
];
const ROWS = 50;
let flowOrder = "age", flowsReversed = false, flowOffset = 0, flowsWanted = 0;
const looks = () => $("#look").getAttribute("aria-expanded") === "true";

for (const [name, title, by] of FLOWS) {
  const head = make("th", by ? "" : title, ["client", "backend", "pool"].includes(name) ? "" : "number");
  head.scope = "col";
  if (by) {
    const button = Object.assign(make("button", title), { type: "button" });
    head.dataset.order = by;
    on(button, "click", () => { flowsReversed = flowOrder === by && !flowsReversed; flowOrder = by; turn(0); });
    head.append(button);
  }
  $("#flows thead tr").append(head);
}

function turn(offset) {
  flowOffset = Math.max(0, offset);
  quietly(loadFlows);
}

async function loadFlows() {
  if (!looks()) return;
  const wanted = ++flowsWanted, question = new URLSearchParams({ sort: flowOrder, reverse: flowsReversed, offset: flowOffset, limit: ROWS });
  for (const name of ["client", "backend", "pool"]) if ($("#of-" + name).value) question.set(name, $("#of-" + name).value.trim());
  if ($("#lone").checked) question.set("lone", "true");
  const response = await fetch("connections?" + question, { cache: "no-store" });
  if (wanted !== flowsWanted) return;
  $("#flows").hidden = !response.ok;
  if (!response.ok) return set($("#flow-note"), (await response.text()).trim());
  const page = await response.json();
  // The last page may have become shorter.
  if (!page.connections.length && page.offset) return turn(Math.floor(Math.max(0, page.matching - 1) / ROWS) * ROWS);
  showFlows(page);
}

function showFlows(page) {
  const rows = page.connections, last = page.offset + rows.length;
  set($("#flow-note"), [
    // Everything else is older.
    pause && "read at " + atClockOfZone(new Date()) + ", while the page is paused",
    rows.length ? `${page.offset + 1} to ${last} of ${page.matching}` : `none of ${page.matching}`,
    `${many(page.total, "connection")} to backends, the client of ${page.with_client} is certain`,
    page.clients_without_backend && `the backend of ${many(page.clients_without_backend, "client")} is not`,
    page.left_out && `${page.left_out} more are left out: there are too many to be read`,
  ].filter(Boolean).join("; "));
  for (const head of $("#flows thead tr").children) {
    // The highest values come first, and addresses from the lowest.
    const up = flowsReversed !== ["client", "backend"].includes(head.dataset.order);
    if (head.dataset.order === flowOrder) head.setAttribute("aria-sort", up ? "ascending" : "descending"); else head.removeAttribute("aria-sort");
  }
  each($("#flows tbody"), rows, row => [row.local, row.backend, row.client].join(), createFlow, showFlow);
  $("#earlier").disabled = !page.offset;
  $("#later").disabled = last >= page.matching;
}

function createFlow() {
  const line = make("tr");
  for (const [name, title] of FLOWS) {
    const cell = make("td", "", ["client", "backend", "pool"].includes(name) ? name : name + " number");
    cell.dataset.name = title.toLowerCase();
    if (name === "backend") cell.append(make("b"), make("br"), make("span", "", "quiet"));
    line.append(cell);
  }
  return line;
}

function showFlow(line, row) {
  const known = row.max_age_seconds !== null && row.max_age_seconds - row.age_seconds < 5;
  const texts = {
    client: row.client || "not certain",
    pool: row.pool || "not certain",
    age: ago(row.age_seconds) + (known ? "" : " or more"),
    to: bytes(row.bytes_to_backend),
    from: bytes(row.bytes_from_backend),
    rtt: row.rtt_seconds === null ? "–" : row.rtt_seconds < .001 ? Math.round(row.rtt_seconds * 1e6) + " µs" : millis(row.rtt_seconds),
    "quiet-for": row.quiet_seconds === null ? row.state : ago(row.quiet_seconds),
  };
  for (const [name, text] of Object.entries(texts)) set($("." + name, line), text);
  const [name, , address] = $(".backend", line).childNodes;
  set(name, row.pod || row.backend || "not certain");
  set(address, [row.pod && row.backend, row.state !== "open" && row.state].filter(Boolean).join(", "));
  line.className = row.client && row.backend ? "" : "uncertain";
}

/// Keeps the pools that can be chosen up to date.
function showFlowPools() {
  const pools = latest ? latest.pools.map(pool => pool.name).sort() : [];
  each($("#of-pool"), ["", ...pools], name => name, name => Object.assign(make("option", name || "All pools"), { value: name }), () => {});
}

on($("#look"), "click", () => {
  $("#look").setAttribute("aria-expanded", String(!looks()));
  $("#flow-view").hidden = !looks();
  set($("#look"), looks() ? "Hide connections" : "Show connections");
  showFlowPools();
  turn(0);
});
for (const name of ["client", "backend"]) on($("#of-" + name), "input", () => turn(0));
for (const name of ["of-pool", "lone"]) on($("#" + name), "change", () => turn(0));
on($("#earlier"), "click", () => turn(flowOffset - ROWS));
on($("#later"), "click", () => turn(flowOffset + ROWS));
setInterval(() => { if (looks() && !document.hidden && !pause) { showFlowPools(); quietly(loadFlows); } }, 5000);
