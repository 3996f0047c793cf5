// The page's own script: live updates, forms that call the control API, and the commands that do the same.
const $ = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// ---- Live updates. The server says that something has changed; the page fetches its view again, and replaces what differs.

let isLive = true;
let known; // the state of the lab that the page shows
let newest; // the state that the lab has told of
let fetching = false;
let earliest = 0;

const shown = new WeakMap(all("[data-live]").map((one) => [one, one.innerHTML]));

async function refresh(isOwn) {
  if (fetching) return;
  fetching = true;
  const started = performance.now();
  let size = 0;
  try {
    const told = newest;
    const answer = await fetch(location.href, { headers: isOwn ? {} : { "x-epm-live": "1" } });
    if (answer.ok && !answer.redirected) {
      const html = await answer.text();
      size = html.length;
      const fresh = new DOMParser().parseFromString(html, "text/html");
      for (const old of all("[data-live]")) replace(old, fresh.getElementById(old.id));
      all("form.action").forEach((form, index) => renew(form, all("form.action", fresh)[index]));
      setLost(false);
      setClock($("#clock", fresh)?.dataset);
      $("#speed")?.replaceChildren($("#speed", fresh)?.textContent ?? "");
      known = told;
    }
  } catch {
    setLost(true);
  }
  fetching = false;
  // A view that is large or takes the server long is asked for less often: at most 50 kB a second, and a twenty-fifth of the time.
  earliest = performance.now() + Math.max(500, size / 50, 25 * (performance.now() - started - 20));
  later();
}

function replace(old, fresh) {
  const html = fresh?.innerHTML;
  if (!fresh || shown.get(old) === html) return;
  shown.set(old, html);
  const open = all("details[open]", old).map((one) => one.id);
  const focus = old.contains(document.activeElement) ? document.activeElement : undefined;
  const place = focus && (focus.id ? `#${CSS.escape(focus.id)}` : focus.href && `a[href="${CSS.escape(focus.getAttribute("href"))}"]`);
  const scrolled = all(".scroll", old).map((one) => one.scrollLeft);
  old.replaceChildren(...fresh.childNodes);
  makeReady(old);
  for (const id of open) if (id) document.getElementById(id)?.setAttribute("open", "");
  all(".scroll", old).forEach((one, index) => (one.scrollLeft = scrolled[index] ?? 0));
  if (place) $(place, old)?.focus({ preventScroll: true });
}

/** Gives the fields of a form the choices that there are now. */
function renew(form, fresh) {
  if (fresh?.dataset.path !== form.dataset.path) return;
  for (const select of all("select", form)) {
    const now = $(`select[name="${CSS.escape(select.name)}"]`, fresh);
    if (!now || now.options.length === select.options.length && all("option", now).every((one, index) => one.value === select.options[index].value)) continue;
    const value = select.value;
    select.replaceChildren(...now.childNodes);
    if ([...select.options].some((one) => one.value === value)) select.value = value;
  }
  showCommands(form);
}

let timer;
function later() {
  clearTimeout(timer);
  if (!isLive || document.hidden || !newest || newest === known) return;
  timer = setTimeout(() => refresh(false), Math.max(0, earliest - performance.now()));
}

// The lab sends something every two seconds, even if nothing happens in it.
const SILENCE = 8000;
let heard = performance.now();
let isLost = false;

/** The lab was heard, or was not: then lab time stands, and the verdict is said to be an old one. */
function setLost(lost) {
  if (!lost) heard = performance.now();
  if (lost === isLost) return;
  isLost = lost;
  if (lost) showClock(heard);
  $("#lost").textContent = lost ? `As of ${$("#clock").textContent}: the lab does not answer.` : "";
  document.body.toggleAttribute("data-lost", lost);
  setState();
  // What answers again may be another lab: its view is fetched, whatever its number.
  if (!lost) known = NaN;
}
setInterval(() => $("#live") && performance.now() - heard > SILENCE && setLost(true), 1000);

function setState() {
  const button = $("#live");
  button.dataset.state = !isLive ? "paused" : isLost ? "lost" : "live";
  button.textContent = !isLive ? "Paused" : isLost ? "Lost" : "Live";
  button.setAttribute("aria-pressed", String(isLive));
}

let port;
function listen() {
  const told = ({ data }) => {
    setLost(data.state === "lost");
    if (data.state === "live") {
      newest = data.event.version;
      known ??= Number(document.body.dataset.version);
    }
    later();
  };
  if (window.SharedWorker) {
    port = new SharedWorker("/page/live.js", "epm-lab, told that it lives").port;
    port.onmessage = told;
  } else {
    const events = new EventSource("/page/events");
    events.onmessage = (event) => told({ data: { state: "live", event: JSON.parse(event.data) } });
    events.addEventListener("alive", () => told({ data: { state: "alive" } }));
    events.onerror = () => told({ data: { state: "lost" } });
  }
}

addEventListener("pagehide", () => port?.postMessage("leave"));
addEventListener("pageshow", (event) => event.persisted && location.reload());
document.addEventListener("visibilitychange", later);
$("#live")?.addEventListener("click", () => {
  isLive = !isLive;
  setState();
  later();
});

// ---- Lab time goes on between two updates.

let clock;
function setClock(data) {
  if (data) clock = { now: Number(data.now), speed: Number(data.speed), at: performance.now() + Number(data.held) };
}
setClock($("#clock")?.dataset);
function showClock(at) {
  const now = new Date(clock.now + clock.speed * Math.max(0, at - clock.at));
  if (!Number.isNaN(now.valueOf())) $("#clock").textContent = now.toISOString().slice(0, 19).replace("T", " ");
}
setInterval(() => clock && !document.hidden && !isLost && showClock(performance.now()), 500);

// ---- Forms.

function valueOf(field) {
  const text = field.value.trim();
  switch (field.dataset.form) {
    case "number": return Number(text);
    case "flag": return text === "true";
    case "json":
      try { return JSON.parse(text); } catch { return text; }
    default: return text;
  }
}

/** The path and the body of a form's call, and its fields by name. */
function callOf(form) {
  const given = {};
  let path = form.dataset.path;
  const body = form.dataset.body ? JSON.parse(form.dataset.body) : undefined;
  for (const field of form.elements) {
    if (!field.name) continue;
    const text = field.value.trim();
    const inPath = field.name.startsWith("{");
    given[field.name.replace(/[{}]/g, "")] = text;
    if (inPath) path = path.replace(field.name, () => encodeURIComponent(text));
    else if (text && body) {
      const names = field.name.split(".");
      const last = names.pop();
      names.reduce((at, name) => (at[name] ??= {}), body)[last] = valueOf(field);
    }
  }
  return { method: form.dataset.method, path, body, given };
}

const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

function commandsOf(form) {
  const { method, path, body, given } = callOf(form);
  const { origin, token } = document.body.dataset;
  const curl = ["curl -sS", method === "GET" ? "" : `-X ${method}`];
  if (token) curl.push(`-H "authorization: Bearer $(cat TOKEN-FILE)"`);
  if (body) curl.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  const lines = [[...curl.filter(Boolean), quoted(origin + path)].join(" ")];
  const template = form.dataset.command;
  if (template) {
    const command = template
      .replace(/\{([^{}=]+)=([^{}:]+):([^{}]+)\}/g, (_, name, value, words) => (given[name] === value ? words : ""))
      .replace(/\[([^\]]*?)\{([^{}]+)\}\]/g, (_, words, name) => (given[name] ? words + quoted(given[name]) : ""))
      .replace(/\{([^{}]+)\}/g, (_, name) => (given[name] ? quoted(given[name]) : name.toUpperCase()));
    const lab = origin === "http://127.0.0.1:8015" ? "" : ` --lab ${origin}`;
    lines.push(`epm-lab ${command}${lab}${token ? " --token-file TOKEN-FILE" : ""}`.replace(/ +/g, " "));
  }
  return lines.join("\n");
}

/** Lets the forms be used that need this script. */
function makeReady(within) {
  for (const button of all("form.action button, form.compare button, form.log-in button", within)) button.disabled = false;
}

function showCommands(form) {
  const code = $(".command code", form);
  if (code) code.textContent = commandsOf(form);
}

async function send(form, isPreview) {
  const output = $("output", form);
  const button = $("button:last-of-type", form);
  let { method, path, body } = callOf(form);
  if (isPreview) [method, path] = ["POST", `${path}/preview`];
  button.disabled = true;
  output.className = "";
  output.textContent = "Under way ...";
  try {
    const headers = body ? { "content-type": "application/json" } : {};
    const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    const json = await answer.json().catch(() => ({}));
    const isForNobody = json.delivered?.length === 0;
    output.className = answer.ok && !isForNobody ? "done" : "refused";
    output.textContent = !answer.ok ? `Refused: ${json.detail ?? answer.statusText}` : isPreview ? foretold(json) : done(json);
  } catch {
    output.className = "refused";
    output.textContent = "The lab does not answer.";
  }
  button.disabled = false;
  if (!isPreview) await refresh(true);
}

/** What was done, in words: a file that was given to clients may have reached none. */
function done({ delivered, off }) {
  if (!delivered) return "Done.";
  const left = off?.length ? ` Switched off, and left as they are: ${off.length}.` : "";
  return delivered.length ? `Done. Clients that have imported it: ${delivered.length}.${left}` : `No client has imported it: none that is on belongs to this group itself.${left}`;
}

/** What a fault would hit, in words. */
function foretold({ clients, hit, asked, examples }) {
  const named = examples.map(({ client, ordinals }) => `${client} (${ordinals.length === asked ? "all" : ordinals.join(", ")})`);
  const more = hit > examples.length ? ` and ${hit - examples.length} more` : "";
  return `Would hit ${hit} of ${clients} in the first ${asked} occasions of each${named.length ? `: ${named.join(", ")}${more}` : ""}.`;
}

// ---- Two runs compared: the lab reads the files, and answers with the view of what differs.

const filesOf = (form) => ["first", "second"].map((name) => form.elements[name].files[0]);

function showComparing(form) {
  const [first, second] = filesOf(form);
  const { origin, token } = document.body.dataset;
  const other = second ? quoted(second.name) : `--lab ${origin}${token ? " --token-file TOKEN-FILE" : ""}`;
  $(".command code", form).textContent = `epm-lab compare ${first ? quoted(first.name) : "GREEN.zip"} ${other}`;
}

async function compare(form) {
  const output = $("output", form);
  const button = $("button", form);
  const [first, second] = filesOf(form);
  const say = (state, text) => ([output.className, output.textContent] = [state, text]);
  const largest = Number(form.dataset.largest);
  if (first.size + (second?.size ?? 0) > largest) {
    return say("refused", `Refused: the files have more than the ${largest / 1024 ** 2} MiB that are read at most; the command reads larger ones.`);
  }
  button.disabled = true;
  say("", "Under way ...");
  try {
    const query = new URLSearchParams({ first: first.name, size: first.size, ...(second && { second: second.name }) });
    const headers = { "content-type": "application/octet-stream" };
    const answer = await fetch(`/page/compare?${query}`, { method: "POST", headers, body: new Blob(second ? [first, second] : [first]) });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      $("#comparison").replaceChildren(...$("#comparison", fresh).childNodes);
      say("done", "Compared.");
    } else say("refused", `Refused: ${(await answer.json().catch(() => ({}))).detail ?? answer.statusText}`);
  } catch {
    say("refused", "A file can no longer be read, or the lab does not answer.");
  }
  button.disabled = false;
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.matches("form.compare")) {
    event.preventDefault();
    await compare(form);
  } else if (form.matches("form.action")) {
    event.preventDefault();
    await send(form, event.submitter?.value === "preview");
  } else if (form.matches("form.log-in")) {
    event.preventDefault();
    const authorization = `Bearer ${form.elements.token.value.trim()}`;
    const answer = await fetch("/page/session", { method: "POST", headers: { authorization } });
    const to = new URLSearchParams(location.search).get("to") ?? "/";
    if (answer.ok) location.replace(new URL(to.startsWith("/") && !to.startsWith("//") ? to : "/", location.origin));
    else $("output", form).textContent = answer.status === 401 ? "Wrong token." : "The lab does not answer as expected.";
  } else if (form.method === "get") {
    // Empty filters are no part of the address.
    for (const field of form.elements) field.disabled ||= field.name && !field.value;
  }
});
document.addEventListener("input", (event) => event.target.form?.matches("form.action") && showCommands(event.target.form));
document.addEventListener("change", (event) => event.target.matches(".compare input") && showComparing(event.target.form));
document.addEventListener("change", (event) => event.target.matches("[data-submit]") && event.target.form.requestSubmit());
document.addEventListener("toggle", (event) => event.target.matches(".action .command") && showCommands(event.target.closest("form")), true);
$("#log-out")?.addEventListener("click", async () => {
  await fetch("/page/session", { method: "DELETE" });
  location.assign("/log-in");
});
all("form.action").forEach(showCommands);
all("form.compare").forEach(showComparing);
if ($("#live")) listen();
makeReady(document);
