// A small Pixel Streaming player: live video, and pictures on request in the tmv dialect.

const $ = (id) => document.getElementById(id);
const utf16 = new TextDecoder("utf-16le");
const ids = { UIInteraction: 50, Response: 1, FileExtension: 8, FileMimeType: 9, FileContents: 10 };
const waiting = new Map(); // request id -> {files, scene, resolve, reject}
let channel = null;
let count = 0;

// Milliseconds until a connection that shows no catalogue is given up; twice as many after each that was: a slow line
// may want more of them.
const PATIENCE = Number(new URLSearchParams(location.search).get("patience")) || 10000;
let patience = PATIENCE;

const say = (text) => { $("status").textContent = text; };

// Signalling -------------------------------------------------------------------------------------------------

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/${location.search}`);
  const send = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));
  let peer = null;
  let subscribed = false;
  const ask = () => { if (!peer && !subscribed) send({ type: "listStreamers" }); };
  const drop = (reason) => {
    if (peer) peer.close();
    peer = null;
    subscribed = false;
    lost(reason);
  };

  // A step that never comes (the offer, the media, the catalogue) says nothing by itself, nor does media that is
  // lost for good: begin again from the socket.
  let silent = false;
  let gone = "";
  const reconnect = () => { silent = true; patience = Math.min(2 * patience, 16 * PATIENCE); socket.close(); };
  let watch = 0;
  const patient = () => {
    clearTimeout(watch);
    watch = setTimeout(() => $("fields").disabled && reconnect(), patience);
  };
  patient();

  socket.onmessage = async (event) => {
    const message = JSON.parse(event.data);
    switch (message.type) {
      case "config":
        if (message.protocolVersion) ask(); // an older server makes the offer by itself
        else say("waiting for an engine …");
        break;
      case "streamerList":
        if (message.ids.length) {
          subscribed = true;
          send({ type: "subscribe", streamerId: message.ids[0] });
        } else {
          say("waiting for an engine …");
          patient(); // the server answers, and that is all that can be wished of it
          setTimeout(ask, 1000);
        }
        break;
      case "offer":
        if (peer) peer.close();
        say("connecting to the engine …");
        patient();
        peer = new RTCPeerConnection();
        peer.ontrack = (track) => { $("video").srcObject = track.streams[0] ?? new MediaStream([track.track]); };
        peer.ondatachannel = (opened) => { say("asking for the catalogue …"); open(opened.channel); };
        const mine = peer;
        peer.onconnectionstatechange = () => mine === peer && mine.connectionState === "failed" && reconnect();
        peer.onicecandidate = (found) => found.candidate && send({ type: "iceCandidate", candidate: found.candidate });
        await peer.setRemoteDescription(message);
        await peer.setLocalDescription();
        send({ type: "answer", sdp: peer.localDescription.sdp });
        break;
      case "iceCandidate":
        if (peer && message.candidate) await peer.addIceCandidate(message.candidate);
        break;
      case "ping":
        send({ type: "pong", time: message.time });
        break;
      case "subscribeFailed":
        drop("the engine went away; waiting for it …");
        setTimeout(ask, 1000);
        break;
      case "streamerDisconnected": // older servers of ours leave it at that, all others close the socket as well
        drop(gone = "the engine went away; waiting for it …");
        setTimeout(ask, 1000);
        break;
    }
  };
  socket.onclose = (event) => {
    clearTimeout(watch);
    const refused = event.code === 1006 && !peer && !location.search.includes("token=");
    drop(
      silent ? "no answer; trying again …"
      : gone ? gone
      : event.reason ? `the server closed the connection: ${event.reason}; trying again …`
      : refused ? "no connection; a server with a token wants ?token=… in the address"
      : "the server is gone; trying again …");
    setTimeout(connect, 2000);
  };
}

function lost(reason) {
  channel = null;
  $("fields").disabled = true;
  for (const one of waiting.values()) one.reject(new Error(reason));
  waiting.clear();
  say(reason);
}

// Data channel -----------------------------------------------------------------------------------------------

function open(opened) {
  channel = opened;
  channel.binaryType = "arraybuffer";
  const file = { name: "", type: "", parts: [], size: 0 };
  channel.onmessage = (event) => {
    const data = new Uint8Array(event.data);
    const text = () => utf16.decode(data.subarray(1));
    if (data[0] === 255) {
      // Older streamers of ours put a direction, 0 or 1, before the text.
      const table = JSON.parse(utf16.decode(data.subarray(data[1] > 1 ? 1 : 2)));
      for (const name of Object.keys(ids)) if (table[name]) ids[name] = table[name].id;
    } else if (data[0] === ids.FileExtension) {
      Object.assign(file, { name: text(), type: "", parts: [], size: 0 });
    } else if (data[0] === ids.FileMimeType) {
      file.type = text();
    } else if (data[0] === ids.FileContents) {
      const total = new DataView(event.data).getInt32(1, true);
      file.parts.push(data.subarray(5));
      file.size += data.length - 5;
      if (file.size === total) {
        const [request, name] = file.name.split(".");
        if (waiting.has(request)) waiting.get(request).files[name] = new Blob(file.parts, { type: file.type });
      }
    } else if (data[0] === ids.Response) {
      const message = JSON.parse(text());
      const one = waiting.get(message.id);
      if (one && message.state === "done") {
        waiting.delete(message.id);
        one.resolve({ ...message, files: one.files });
      } else if (one && message.state === "failed") {
        waiting.delete(message.id);
        one.reject(new Error(message.reason));
      }
    }
  };
  channel.onclose = () => { if (channel === opened) lost("the connection closed"); };
  const ready = () => start().catch((error) => say(error.message));
  if (channel.readyState === "open") ready(); else channel.onopen = ready;
}

function ask(body) {
  if (!channel || channel.readyState !== "open") return Promise.reject(new Error("not connected"));
  const id = `w${++count}`;
  const text = JSON.stringify({ tmv: 1, id, ...body });
  const bytes = new DataView(new ArrayBuffer(3 + 2 * text.length));
  bytes.setUint8(0, ids.UIInteraction);
  bytes.setUint16(1, text.length, true);
  for (let i = 0; i < text.length; i++) bytes.setUint16(3 + 2 * i, text.charCodeAt(i), true);
  channel.send(bytes.buffer);
  return new Promise((resolve, reject) => waiting.set(id, { files: {}, resolve, reject }));
}

// Page -------------------------------------------------------------------------------------------------------

// Each level once: the catalogue has aliases apart. What is shown may be what the catalogue says of a level.
function fill(select, choice, fallback, said = (level) => level) {
  const levels = choice?.levels ?? (fallback ? [fallback] : []);
  const kept = levels.includes(select.value) ? select.value : fallback;
  select.replaceChildren(...levels.map((level) => new Option(said(level), level)));
  if (levels.includes(kept)) select.value = kept;
}

// Characters are chosen by class, where the engine says which they are of: hundreds in one list are not found.
const KINDS = { animal: "Animals", object: "Objects" };
let members = new Map();

function fillClasses(classes, character, none) {
  const levels = character?.levels ?? [];
  const known = classes.filter((one) => one.characters.some((name) => levels.includes(name)));
  const named = new Set(known.flatMap((one) => one.characters));
  const others = levels.filter((level) => !named.has(level));
  members = new Map(known.map((one) => [String(one.id), one.characters]));
  members.set("", others);
  const kept = members.has($("class").value) ? $("class").value : "";
  const groups = new Map();
  if (others.length) groups.set("", [new Option(others.length === 1 && others[0] === none ? "no character" : "others", "")]);
  for (const one of known) {
    const kind = KINDS[one.kind] ?? "Others";
    if (!groups.has(kind)) groups.set(kind, []);
    const count = one.characters.length > 1 ? ` (${one.characters.length})` : "";
    groups.get(kind).push(new Option(`${one.display || one.name}${count}`, one.id));
  }
  $("class").replaceChildren(...[...groups].flatMap(([kind, options]) => {
    if (!kind) return options;
    const group = document.createElement("optgroup");
    group.label = kind;
    group.append(...options.sort((a, b) => a.text.localeCompare(b.text)));
    return [group];
  }));
  $("class").value = kept || (known.length ? String(known[0].id) : "");
  $("class-field").hidden = !known.length;
  const choose = () => {
    const chosen = known.length ? members.get($("class").value) : levels;
    fill($("character"), { levels: chosen }, chosen.includes(none) ? none : chosen[0], (level) => known.length && character?.about?.[level] || level);
    $("character-field").hidden = known.length > 0 && chosen.length < 2;
  };
  $("class").onchange = choose;
  choose();
}

// Conditions are controls of their own, those that the engine offers: empty is what a scene without them has. What
// they are called and measured in is the server's table; without one there are none.
async function fillConditions(factors) {
  const table = await fetch("conditions.json").then((answer) => answer.ok ? answer.json() : []).catch(() => []);
  const kept = conditions();
  const groups = new Map();
  for (const one of table) {
    const choice = factors[one.wire];
    if (!choice || one.kind === "list") continue;
    const field = document.createElement(one.kind === "number" ? "input" : "select");
    if (one.kind === "number") {
      Object.assign(field, { type: "number", min: choice.low ?? one.low, max: choice.high ?? one.high, step: "any", placeholder: one.default });
    } else {
      const levels = (choice.levels ?? []).filter((level) => level !== one.default);
      field.replaceChildren(new Option(one.default, ""), ...levels.map((level) => new Option(choice.about?.[level] ?? level, level)));
    }
    field.name = one.wire;
    field.title = one.doc;
    field.value = kept[one.wire] ?? "";
    const label = document.createElement("label");
    const unit = one.unit && !one.wire.toLowerCase().endsWith(one.unit) ? ` (${one.unit})` : "";
    label.append(one.wire.replaceAll("_", " ") + unit, field);
    if (!groups.has(one.group)) groups.set(one.group, []);
    groups.get(one.group).push(label);
  }
  $("conditions").replaceChildren(...[...groups].map(([group, labels]) => {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = group;
    details.open = labels.some((label) => label.lastChild.value !== "");
    details.append(summary, ...labels);
    return details;
  }));
}

function conditions() {
  const fields = [...$("conditions").querySelectorAll("input, select")].filter((field) => field.value !== "");
  return Object.fromEntries(fields.map((field) => [field.name, field.type === "number" ? Number(field.value) : field.value]));
}

async function start() {
  const answer = await ask({ do: "catalogue" });
  const catalogue = JSON.parse(await answer.files.catalogue.text());
  const { World_Name: world, Character_Name: character, Character_Texture: texture, Scene_Light: light } = catalogue.factors;
  fill($("world"), world);
  fillClasses(catalogue.classes ?? [], character, "blank");
  fill($("texture"), texture, "Default");
  fill($("light"), light, "255,255,255,0", (level) => light?.about?.[level] ?? level);
  await fillConditions(catalogue.factors);
  const animal = [...$("character").options].find((option) => option.value !== "blank");
  if (animal && $("character").value === "blank") $("character").value = animal.value;
  $("fields").disabled = false;
  patience = PATIENCE;
  say(`connected to engine “${catalogue.engine}” ${catalogue.version}`);
}

let busy = false;
let again = false;

async function render() {
  again = busy;
  if (busy) return; // one at a time; the latest choice is rendered next
  busy = true;
  $("picture").classList.add("waiting");
  const side = Number($("size").value);
  const begun = performance.now();
  const scene = {
    World_Name: $("world").value, Character_Name: $("character").value,
    Character_Rotation_Yaw: Number($("yaw").value), Camera_Yaw: Number($("camera").value), ...conditions(),
  };
  // An engine need not know these; then nothing but the default can be chosen.
  if ($("texture").value !== "Default") scene.Character_Texture = $("texture").value;
  if ($("light").value !== "255,255,255,0") scene.Scene_Light = $("light").value;
  try {
    const answer = await ask({ do: "render", scene, size: [side, side], passes: ["rgb"], format: "png" });
    const url = URL.createObjectURL(answer.files.rgb);
    URL.revokeObjectURL($("picture").src);
    $("picture").src = url;
    await $("picture").decode();
    $("picture").hidden = false;
    $("empty").hidden = true;
    $("caption").className = "";
    $("caption").textContent = `${scene.Character_Name} · ${scene.World_Name} · ${side} × ${side} · ` +
      `${Math.round(performance.now() - begun)} ms · scene ${answer.scene_id}`;
  } catch (error) {
    $("caption").className = "bad";
    $("caption").textContent = error.message;
  }
  $("picture").classList.remove("waiting");
  busy = false;
  if (again && channel) render();
}

$("form").onsubmit = (event) => { event.preventDefault(); render(); };
$("form").onchange = () => { if (!$("picture").hidden) render(); };
for (const name of ["yaw", "camera"]) {
  $(name).oninput = () => { $(`${name}-shown`).textContent = `${$(name).value}°`; };
}
connect();
