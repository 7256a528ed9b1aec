{
  const key = (() => {
    const made = sessionStorage.getItem("session")
      ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem("session", made); // so that reloading keeps the photos
    return made;
  })();
  const base = `${location.pathname}${key}`;
  const say = (text) => { byId("said").textContent = text; };
  const complain = (text) => {
    byId("problem").textContent = text;
    byId("problem").hidden = !text;
  };
  const ask = async (path, options) => {
    let answer;
    try {
      answer = await fetch(`${base}/${path}`, options);
    } catch {
      throw new Error(byId("offline").textContent);
    }
    if (!answer.ok) throw new Error((await answer.json()).error);
    return answer;
  };
  const attempt = async (work) => {
    complain("");
    try {
      await work();
    } catch (error) {
      complain(error.message);
    }
  };

  // The photos: those on their way, in this page, and those the server has.
  let photos = [];
  const uploads = [];
  const chosen = new Map(); // id -> { strength, maxBlur }
  const rows = new Map();
  let shownId = null;
  const photoOf = (id) => photos.find((photo) => photo.id === id);
  const choice = (id) => {
    if (!chosen.has(id)) chosen.set(id, { strength: 1, maxBlur: null });
    return chosen.get(id);
  };

  const settings = () => new URLSearchParams({ model: byId("model").value, scale: byId("scale").value });
  const add = (files) => {
    for (const file of files) {
      const upload = { id: `upload ${crypto.getRandomValues(new Uint32Array(2)).join(" ")}`, name: file.name, file, settings: settings(), status: "queued", sent: 0 };
      if (file.size > data.maxBytes) {
        upload.status = "failed";
        upload.error = `the file is larger than ${data.maxBytes / 1e6} MB, the limit of this server: start it with --max-upload`;
      }
      uploads.push(upload);
    }
    say(`${plural(files.length, "photo")} added`);
    draw();
    send();
  };
  let sending = null;
  const send = () => {
    if (sending) return;
    sending = uploads.find((upload) => upload.status === "queued");
    if (!sending) return;
    const upload = sending;
    const request = new XMLHttpRequest(); // fetch does not tell how much is sent
    upload.status = "uploading";
    upload.request = request;
    upload.settings.set("name", upload.name);
    request.open("POST", `${base}/photos?${upload.settings}`);
    request.upload.onprogress = (event) => {
      upload.sent = event.loaded / event.total;
      draw();
    };
    const fail = (text) => {
      upload.status = "failed";
      upload.error = text;
      say(`${upload.name}: ${text}`);
    };
    request.onload = () => {
      if (request.status === 201) uploads.splice(uploads.indexOf(upload), 1);
      else {
        let error = "the server did not take it";
        try { error = JSON.parse(request.responseText).error; } catch { /* not from the server */ }
        fail(error);
      }
    };
    request.onerror = () => fail("it could not be read or sent: choose it again");
    request.onloadend = () => {
      sending = null;
      draw();
      send();
    };
    request.send(upload.file);
    draw();
  };
  const remove = async (photo) => {
    const place = [...rows.keys()].indexOf(photo.id);
    if (photo.file) {
      uploads.splice(uploads.indexOf(photo), 1);
      photo.request?.abort();
    } else await ask(`photos/${photo.id}`, { method: "DELETE" });
    photos = photos.filter((other) => other.id !== photo.id);
    say(`${photo.name} removed`);
    draw();
    const left = [...rows.values()];
    (left[Math.min(place, left.length - 1)]?.remove ?? byId("files")).focus();
  };

  const words = (photo) => {
    const [done, total] = photo.tiles ?? [0, 0];
    return {
      queued: () => "waiting to be sent",
      uploading: () => `being sent, ${Math.round(100 * photo.sent)} %`,
      waiting: () => photo.ahead ? `waiting, ${plural(photo.ahead, "photo")} before it` : "waiting",
      computing: () => total ? `being deblurred, ${Math.round((100 * done) / total)} %` : "being read",
      done: () => photo.error ? `not deblurred again: ${photo.error}` : `done in ${photo.seconds} s, ${photo.size.join(" × ")} pixels`,
      failed: () => photo.error,
    }[photo.status]();
  };
  const share = (photo) => photo.status === "uploading" ? photo.sent : photo.status === "computing" && photo.tiles[1] ? photo.tiles[0] / photo.tiles[1] : null;
  const makeRow = (photo) => {
    const row = {
      item: element("li"),
      picture: element("span", { class: "blank" }),
      pick: element("button", { type: "button", class: "pick", text: photo.name }),
      state: element("span", { class: "state" }),
      progress: element("progress", { "aria-label": `Progress of ${photo.name}`, max: 1 }),
      remove: element("button", { type: "button", class: "remove", text: "✕", "aria-label": `Remove ${photo.name}` }),
    };
    row.item.append(row.picture, element("div", { class: "words" }, row.pick, row.progress, row.state), row.remove);
    row.pick.addEventListener("click", () => {
      show(photo.id);
      byId("viewer-name").focus({ preventScroll: true });
      byId("viewer").scrollIntoView({ block: "nearest" });
    });
    row.remove.addEventListener("click", () => attempt(() => remove(photoOf(photo.id) ?? photo)));
    return row;
  };
  const drawRow = (photo) => {
    if (!rows.has(photo.id)) rows.set(photo.id, makeRow(photo));
    const row = rows.get(photo.id);
    const active = ["uploading", "computing", "waiting", "queued"].includes(photo.status);
    row.item.className = `${photo.status}${photo.error ? " failed" : ""}${photo.id === shownId ? " shown" : ""}`;
    row.state.textContent = words(photo);
    row.progress.hidden = !active;
    const part = share(photo);
    if (part === null) row.progress.removeAttribute("value");
    else row.progress.value = part;
    if (active && part === null && photo.status !== "computing") row.progress.value = 0;
    row.pick.disabled = !photo.round;
    if (photo.id === shownId) row.pick.setAttribute("aria-current", "true");
    else row.pick.removeAttribute("aria-current");
    if (photo.round && row.round !== photo.round) {
      const picture = element("img", { src: `${base}/photos/${photo.id}/${photo.round}/after`, alt: "", loading: "lazy" });
      row.picture.replaceWith(picture);
      row.picture = picture;
      row.round = photo.round;
    }
    return row.item;
  };
  const draw = () => {
    const all = [...photos, ...uploads];
    const items = all.map(drawRow);
    const list = byId("photos");
    for (const id of [...rows.keys()]) {
      if (all.some((photo) => photo.id === id)) continue;
      rows.get(id).item.remove();
      rows.delete(id);
      chosen.delete(id);
    }
    items.forEach((item, place) => {
      if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
    });
    byId("all").hidden = !all.length;
    byId("download-all").disabled = !photos.some((photo) => photo.status === "done");
    if (shownId && !photoOf(shownId)) shownId = null;
    const first = photos.find((photo) => photo.round);
    if (!shownId && first) show(first.id);
    byId("viewer").hidden = !shownId;
    if (shownId) drawFacts();
  };

  const events = new EventSource(`${base}/events`);
  events.onopen = () => { byId("offline").hidden = true; };
  events.onerror = () => { byId("offline").hidden = false; };
  events.onmessage = (event) => {
    const before = new Map(photos.map((photo) => [photo.id, photo]));
    photos = JSON.parse(event.data).photos.filter((photo) => photo.status !== "uploading");
    for (const photo of photos) {
      const old = before.get(photo.id);
      if (old && old.status !== photo.status && ["done", "failed"].includes(photo.status)) say(`${photo.name}: ${words(photo)}`);
      if (old && photo.id === shownId && old.round !== photo.round) showId = null;
    }
    draw();
    if (shownId && showId === null) show(shownId);
  };

  // The viewer: two stages, one over the other, moved together by the scrolling of an empty element above them.
  const slider = byId("viewer").querySelector(".slider");
  const divider = slider.querySelector("input");
  const pan = byId("pan");
  const stages = [...slider.querySelectorAll(".stage")];
  const sides = ["before", "after"];
  const tiles = new Map();
  let showId = null; // the photo and round whose pictures are on the stages
  let zoom = null; // pixels of the screen for each of the photo; null fits it
  let radius = null;

  const frame = () => [pan.clientWidth || slider.clientWidth, pan.clientHeight || slider.clientHeight];
  const fitting = (photo) => Math.min(slider.clientWidth / photo.size[0], slider.clientHeight / photo.size[1]) * devicePixelRatio;
  const zoomNow = (photo) => zoom ?? fitting(photo);
  const place = () => {
    const photo = shownId && photoOf(shownId);
    if (!photo?.round || byId("pair").hidden) return;
    const scale = zoomNow(photo) / devicePixelRatio;
    const size = photo.size.map((length) => length * scale);
    const zoomed = zoom !== null && (size[0] > slider.clientWidth + 1 || size[1] > slider.clientHeight + 1);
    slider.classList.toggle("zoomed", zoomed);
    slider.classList.toggle("fine", zoomNow(photo) >= 3);
    pan.hidden = !zoomed;
    pan.tabIndex = zoomed ? 0 : -1;
    pan.firstChild.style.width = `${size[0]}px`;
    pan.firstChild.style.height = `${size[1]}px`;
    const [width, height] = frame();
    const box = slider.getBoundingClientRect();
    const snapped = (value, origin) => Math.round((origin + value) * devicePixelRatio) / devicePixelRatio - origin; // so that 1 : 1 is exact
    const left = snapped(size[0] < width ? (width - size[0]) / 2 : zoomed ? -pan.scrollLeft : 0, box.left);
    const top = snapped(size[1] < height ? (height - size[1]) / 2 : zoomed ? -pan.scrollTop : 0, box.top);
    for (const stage of stages) Object.assign(stage.style, { left: `${left}px`, top: `${top}px`, width: `${size[0]}px`, height: `${size[1]}px` });
    byId("zoom").textContent = `${Math.round(100 * zoomNow(photo))} %`;
    drawTiles(photo, scale, left, top, width, height);
  };
  // Tiles are fetched where the picture of the whole photo is too coarse for what is on the screen.
  const drawTiles = (photo, scale, left, top, width, height) => {
    const wanted = new Set();
    if (zoomNow(photo) > (0.999 * photo.screen[0]) / photo.size[0]) {
      const side = data.tile * scale;
      const range = (start, length, total) => [Math.max(0, Math.floor(-start / side)), Math.min(Math.ceil(total / data.tile) - 1, Math.floor((length - start) / side))];
      const [first, last] = range(top, height, photo.size[1]);
      const [near, far] = range(left, width, photo.size[0]);
      for (let row = first; row <= last; row += 1) for (let column = near; column <= far; column += 1) wanted.add(`${row}/${column}`);
    }
    for (const [name, pair] of tiles) {
      if (wanted.has(name)) continue;
      pair.forEach((image) => image.remove());
      tiles.delete(name);
    }
    for (const name of wanted) {
      if (tiles.has(name)) continue;
      const [row, column] = name.split("/").map(Number);
      const [across, down] = photo.size;
      tiles.set(name, stages.map((stage, i) => {
        const image = element("img", { class: "tile", alt: "", draggable: "false" });
        const box = [column * data.tile, row * data.tile, Math.min(data.tile, across - column * data.tile), Math.min(data.tile, down - row * data.tile)];
        Object.assign(image.style, { left: `${(100 * box[0]) / across}%`, top: `${(100 * box[1]) / down}%`, width: `${(100 * box[2]) / across}%`, height: `${(100 * box[3]) / down}%` });
        image.src = `${base}/photos/${photo.id}/${photo.round}/${sides[i]}/${name}`;
        stage.append(image);
        return image;
      }));
    }
  };
  const zoomTo = (wanted, at = null) => {
    const photo = photoOf(shownId);
    const [width, height] = frame();
    const [x, y] = at ?? [width / 2, height / 2];
    const old = zoomNow(photo) / devicePixelRatio;
    const point = [x - parseFloat(stages[0].style.left), y - parseFloat(stages[0].style.top)].map((value) => value / old);
    const least = Math.min(1, fitting(photo));
    zoom = wanted === null || (wanted <= least && least < 1) ? null : Math.min(16, Math.max(wanted, least));
    place();
    const scale = zoomNow(photo) / devicePixelRatio;
    pan.scrollTo({ left: point[0] * scale - x, top: point[1] * scale - y, behavior: "instant" });
    place();
  };
  const zoomBy = (step, at) => {
    const now = Math.log2(zoomNow(photoOf(shownId)));
    zoomTo(2 ** (step > 0 ? Math.floor(now + 1.01) : Math.ceil(now - 1.01)), at);
  };
  byId("fit").addEventListener("click", () => zoomTo(null));
  byId("full").addEventListener("click", () => zoomTo(1));
  byId("in").addEventListener("click", () => zoomBy(1));
  byId("out").addEventListener("click", () => zoomBy(-1));
  pan.addEventListener("scroll", place);
  new ResizeObserver(place).observe(slider);
  addEventListener("resize", place);
  slider.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = slider.getBoundingClientRect();
    zoomBy(event.deltaY < 0 ? 1 : -1, [event.clientX - box.left, event.clientY - box.top]);
  }, { passive: false });
  pan.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    const from = [event.clientX + pan.scrollLeft, event.clientY + pan.scrollTop];
    const move = (moved) => pan.scrollTo({ left: from[0] - moved.clientX, top: from[1] - moved.clientY, behavior: "instant" });
    pan.setPointerCapture(event.pointerId);
    pan.addEventListener("pointermove", move);
    pan.addEventListener("lostpointercapture", () => pan.removeEventListener("pointermove", move), { once: true });
  });

  // Strength and largest blur act on the upper stage: it lies over the original with that opacity and mask.
  const FADE = 0.15; // as restoring.selection
  const adjust = () => {
    const photo = photoOf(shownId);
    const { strength, maxBlur } = choice(shownId);
    const stage = stages[1];
    stage.style.opacity = strength;
    stage.style.maskImage = "none";
    if (maxBlur !== null && radius) {
      const [columns, lines] = photo.cells;
      const canvas = element("canvas", { width: columns, height: lines });
      const context = canvas.getContext("2d");
      const mask = context.createImageData(columns, lines);
      radius.forEach((value, i) => { mask.data[4 * i + 3] = 255 * Math.min(1, Math.max(0, (maxBlur - value) / (FADE * maxBlur))); });
      context.putImageData(mask, 0, 0);
      stage.style.maskImage = `url(${canvas.toDataURL()})`;
      stage.style.maskSize = [columns, lines].map((count, i) => `${(100 * count * data.cell) / photo.size[i]}%`).join(" ");
    }
    byId("strength").value = strength;
    byId("strength-value").textContent = `${Math.round(100 * strength)} %`;
    const range = byId("max-blur");
    range.value = maxBlur ?? range.max;
    const limit = maxBlur === null ? "no limit" : `${maxBlur} px`;
    byId("max-blur-value").textContent = limit;
    range.setAttribute("aria-valuetext", limit);
    byId("strength").setAttribute("aria-valuetext", byId("strength-value").textContent);
  };
  byId("adjust").addEventListener("input", () => {
    const range = byId("max-blur");
    chosen.set(shownId, { strength: Number(byId("strength").value), maxBlur: range.value === range.max ? null : Number(range.value) });
    adjust();
  });
  byId("adjust").addEventListener("submit", (event) => event.preventDefault());
  byId("settings").addEventListener("submit", (event) => event.preventDefault());

  const view = (map) => {
    byId("pair").hidden = map;
    byId("map").hidden = !map;
    byId("zooms").hidden = map;
    byId("show-pair").setAttribute("aria-pressed", !map);
    byId("show-map").setAttribute("aria-pressed", map);
    const photo = photoOf(shownId);
    const picture = byId("map").querySelector("img");
    if (!map) return place();
    const address = `${base}/photos/${photo.id}/blur-map?${photo.round}`;
    if (picture.getAttribute("src") !== address) {
      byId("map-caption").textContent = "The blur map is being drawn …";
      picture.alt = `${photo.name}: the photo, its blur radius in pixels, and the levels used`;
      picture.src = address;
    }
  };
  byId("map").querySelector("img").addEventListener("load", () => { byId("map-caption").textContent = "How far out of focus each part is, as estimated, and the size at which the network saw it."; });
  byId("map").querySelector("img").addEventListener("error", () => { byId("map-caption").textContent = "The blur map could not be drawn."; });
  byId("show-pair").addEventListener("click", () => view(false));
  byId("show-map").addEventListener("click", () => view(true));

  const drawFacts = () => {
    const photo = photoOf(shownId);
    const facts = { Network: photo.model, Scale: photo.scale, Size: photo.size.join(" × "), "Largest blur radius": `${photo.radius.toFixed(1)} px`, "Deblurred in": `${photo.seconds} s` };
    byId("facts").replaceChildren(...Object.entries(facts).map(([name, text]) => element("div", {}, element("dt", { text: name }), element("dd", { text }))));
    byId("warnings").replaceChildren(...photo.warnings.map((text) => element("li", { text })));
    byId("warnings").hidden = !photo.warnings.length;
    const other = byId("model").value !== photo.model || byId("scale").value !== photo.scale;
    byId("again").hidden = !other;
    byId("again").disabled = !["done", "failed"].includes(photo.status);
    byId("again").textContent = `Deblur again with ${byId("model").value}, scale ${byId("scale").value}`;
    byId("download").disabled = photo.status !== "done";
  };
  byId("settings").addEventListener("change", () => { if (shownId) drawFacts(); });
  byId("again").addEventListener("click", () => attempt(() => ask(`photos/${shownId}/again?${settings()}`, { method: "POST" })));

  const show = (id) => {
    const photo = photoOf(id);
    const fresh = `${id} ${photo.round}`;
    const moved = shownId !== id;
    shownId = id;
    byId("viewer").hidden = false;
    byId("viewer-name").textContent = photo.name;
    drawFacts();
    if (showId !== fresh) {
      showId = fresh;
      radius = null;
      for (const pair of tiles.values()) pair.forEach((image) => image.remove());
      tiles.clear();
      if (moved) zoom = null;
      slider.style.setProperty("--ratio", photo.size[0] / photo.size[1]);
      stages.forEach((stage, i) => {
        stage.firstChild.src = `${base}/photos/${id}/${photo.round}/${sides[i]}`;
        stage.firstChild.alt = `${photo.name} ${sides[i]} deblurring`;
      });
      divider.setAttribute("aria-label", `Divider between before and after, ${photo.name}`);
      byId("max-blur").max = Math.ceil(2 * photo.radius) / 2 + 1;
      fetch(`${base}/photos/${id}/${photo.round}/radius`).then((answer) => answer.arrayBuffer()).then((bytes) => {
        if (showId !== fresh) return;
        radius = new Float32Array(bytes);
        adjust();
      });
    }
    adjust();
    view(!byId("map").hidden);
    draw();
  };

  // Downloads are made first and fetched then, so that whatever is wrong is said on this page.
  const download = (wanted, button) => attempt(async () => {
    const label = button.textContent;
    button.disabled = true;
    button.textContent = "Being made …";
    say("the download is being made");
    try {
      const choices = wanted.map(({ id }) => ({ id, strength: choice(id).strength, max_blur: choice(id).maxBlur }));
      const answer = await ask("results", { method: "POST", body: JSON.stringify(choices) });
      const { path: name, notes } = await answer.json();
      const link = element("a", { href: `${base}/results/${encodeURIComponent(name)}`, download: name });
      link.click();
      say(`${name} is downloaded`);
      complain(notes.join(" · "));
    } finally {
      button.textContent = label;
      button.disabled = false;
    }
  });
  byId("download").addEventListener("click", () => download([photoOf(shownId)], byId("download")));
  byId("download-all").addEventListener("click", () => download(photos.filter((photo) => photo.status === "done"), byId("download-all")));

  byId("files").addEventListener("change", () => {
    add([...byId("files").files]);
    byId("files").value = "";
  });
  const over = (on) => (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("over", on);
  };
  document.addEventListener("dragover", over(true));
  document.addEventListener("dragleave", over(false));
  document.addEventListener("drop", (event) => {
    over(false)(event);
    if (event.dataTransfer.files.length) add([...event.dataTransfer.files]);
  });
  document.addEventListener("keydown", (event) => {
    if (!shownId || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input:not([type=range])")) return;
    const keys = { "+": () => zoomBy(1), "=": () => zoomBy(1), "-": () => zoomBy(-1), 0: () => zoomTo(null), 1: () => zoomTo(1), v: () => view(byId("map").hidden) };
    const act = keys[event.key.toLowerCase()];
    if (!act) return;
    act();
    event.preventDefault();
  });

  byId("model").append(...data.models.map((name) => new Option(name, name)));
  byId("model").value = data.model;
  byId("scale").append(...data.scales.map((name) => new Option(name, name)));
}
