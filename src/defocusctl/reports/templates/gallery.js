{
  const address = (photo, picture) => `pictures/${photo.key}/${picture}.webp`;
  const change = (photo) => `changed by ${photo.change.toFixed(2)}`;
  const hasChange = (photo) => typeof photo.change === "number";
  const seconds = (photo) => photo.report.seconds ?? -1;
  const isWarned = (photo) => photo.warnings.length > 0;

  const kinds = {
    all: () => true,
    deblurred: (photo) => photo.status === "done",
    failed: (photo) => photo.status === "failed",
    "with warnings": isWarned,
    "left out": (photo) => photo.status === "skipped",
    "without pictures": (photo) => photo.status === "done" && !hasChange(photo),
  };
  const orders = {
    name: (a, b) => collator.compare(a.name, b.name),
    "largest change": (a, b) => (b.change ?? -1) - (a.change ?? -1),
    "smallest change": (a, b) => (a.change ?? Infinity) - (b.change ?? Infinity) || 0,
    "longest time": (a, b) => seconds(b) - seconds(a),
    "last finished": (a, b) => (a.finished < b.finished) - (a.finished > b.finished),
  };

  // The cards.
  const list = byId("photos");
  const [status, order] = ["status", "order"].map(byId);
  const described = (photo) => [
    photo.name,
    ...(photo.status === "done" ? [] : [photo.status === "failed" ? "failed" : "left out"]),
    ...(hasChange(photo) ? [change(photo)] : []),
    ...(isWarned(photo) ? [plural(photo.warnings.length, "warning")] : []),
  ];
  const card = (photo, place) => {
    const picture = photo.size
      ? element("img", {
          class: "thumbnail",
          loading: "lazy",
          decoding: "async",
          width: photo.size[0],
          height: photo.size[1],
          src: address(photo, "thumbnail"),
          alt: `${photo.name}, deblurred`,
        })
      : element("span", { class: "thumbnail missing", text: photo.error ?? photo.notes?.[0] ?? "" });
    const [name, ...remarks] = described(photo);
    const words = element("span", { class: "words" }, element("span", { class: "name", text: name }));
    for (const text of remarks) {
      const look = text === "failed" ? "failed" : text.endsWith("warning") || text.endsWith("warnings") ? "warned" : "";
      words.append(element("small", { text, class: look }));
    }
    const label = described(photo).join(", ");
    const button = element("button", { type: "button", class: "card", "aria-label": label }, picture, words);
    button.addEventListener("click", () => open(place));
    return element("li", {}, button);
  };
  const photos = listing({
    items: () => data.photos,
    noun: "photo",
    accepts: (photo) => kinds[status.value](photo),
    name: (photo) => photo.name,
    compare: () => orders[order.value],
    make: card,
    into: list,
    chunk: 120,
  });

  // Arrow keys go from card to card.
  list.addEventListener("keydown", (event) => {
    const cards = [...list.querySelectorAll(".card")];
    const here = cards.indexOf(document.activeElement);
    const columns = getComputedStyle(list).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (here < 0 || !step || !cards[here + step]) return;
    event.preventDefault();
    cards[here + step].focus();
  });

  // The viewer: one photo, before and after.
  const viewer = byId("viewer");
  const slider = viewer.querySelector(".slider");
  const range = slider.querySelector("input");
  const single = byId("single");
  let shown = 0;
  let view = 0;

  const views = (photo) => [
    ...(photo.size ? [{ title: "Whole photo", before: "before", after: "after", size: photo.size, both: photo.before }] : []),
    ...(photo.detail
      ? [{ title: "Detail at 100 %", before: "detail-before", after: "detail-after", size: [photo.detail[2], photo.detail[2]], both: true }]
      : []),
    ...(photo.radius ? [{ title: "Blur radius", after: "radius", size: photo.radius, both: false }] : []),
  ];
  const caption = (photo, { title, size }) => {
    const original = [photo.report.width, photo.report.height];
    if (title === "Blur radius") return "The radius of the blur in pixels, as estimated, and the levels that were used.";
    if (photo.detail && title.startsWith("Detail")) {
      const [left, top, side] = photo.detail;
      return `The ${side} × ${side} pixels at ${left}, ${top}, where detail grew most.`;
    }
    const whole = original[0] > size[0] ? `Scaled down from ${original.join(" × ")} to ` : "";
    return `${whole}${size.join(" × ")} pixels.${photo.before ? "" : " Only the result can be shown."}`;
  };
  const showView = () => {
    const photo = photos.shown[shown];
    const offered = views(photo);
    view = Math.min(view, Math.max(0, offered.length - 1));
    const current = offered[view];
    [...byId("views").children].forEach((button, i) => button.setAttribute("aria-pressed", i === view));
    byId("views").hidden = offered.length < 2;
    slider.hidden = !current?.both;
    single.hidden = !current || current.both;
    byId("caption").textContent = current ? caption(photo, current) : "";
    for (const image of viewer.querySelectorAll("img")) image.removeAttribute("src");
    if (!current) return;
    if (!current.both) {
      single.src = address(photo, current.after);
      single.alt = current.title === "Blur radius" ? `${photo.name}, blur radius` : `${photo.name} after deblurring`;
      return;
    }
    slider.style.setProperty("--ratio", `${current.size[0]} / ${current.size[1]}`);
    slider.style.setProperty("--width", `${current.size[0]}px`);
    for (const side of ["before", "after"]) {
      const image = slider.querySelector(`.${side}`);
      image.src = address(photo, current[side]);
      image.alt = `${photo.name} ${side} deblurring${view ? ", detail" : ""}`;
    }
    range.setAttribute("aria-label", `Divider between before and after, ${photo.name}`);
    range.value = 50;
    range.dispatchEvent(new Event("input"));
  };

  const facts = (photo) => {
    const { report, seconds } = photo;
    const settings = data.settings[photo.settings];
    return [
      ["Change", hasChange(photo) ? `${photo.change.toFixed(3)} grey levels of 255 on average` : null],
      ["Size", report.width ? `${report.width} × ${report.height}, ${report.megapixels.toFixed(2)} megapixels` : null],
      ["Computed in", report.seconds === undefined ? null : `${report.seconds.toFixed(2)} s on ${report.device}, ${report.precision}, tiles ${report.tile}, overlap ${report.overlap}`],
      ["Seconds", Object.entries(seconds).map(([what, value]) => `${what} ${value.toFixed(2)}`).join(", ")],
      ["Settings", settings.model ? `${settings.model}, strength ${settings.strength}` : null],
      ["Weights", settings.weights],
      ["Original", photo.source],
      ["Finished", `${photo.finished.replace("T", " ").slice(0, 19)} UTC`],
    ].filter(([, value]) => value);
  };

  const show = () => {
    const photo = photos.shown[shown];
    byId("viewer-name").textContent = photo.name;
    byId("place").textContent = `${shown + 1} of ${photos.shown.length}`;
    byId("previous").disabled = shown === 0;
    byId("next").disabled = shown === photos.shown.length - 1;
    byId("error").textContent = photo.error ?? "";
    byId("error").hidden = !photo.error;
    const remarks = [...photo.warnings, ...(photo.notes ?? [])];
    byId("warnings").replaceChildren(...remarks.map((text) => element("li", { text })));
    byId("warnings").hidden = !remarks.length;
    byId("views").replaceChildren(
      ...views(photo).map(({ title }, i) => {
        const button = element("button", { type: "button", text: title });
        button.addEventListener("click", () => {
          view = i;
          showView();
        });
        return button;
      }),
    );
    const lines = facts(photo).map(([name, text]) => element("div", {}, element("dt", { text: name }), element("dd", { text })));
    if (photo.files.length) {
      const links = photo.files.map(([text, href]) => element("div", {}, element("a", { href, text, target: "_blank" })));
      lines.push(element("div", {}, element("dt", { text: "Files" }), element("dd", {}, ...links)));
    }
    byId("facts").replaceChildren(...lines);
    showView();
    viewer.scrollTop = 0;
  };
  const open = (place) => {
    shown = place;
    view = 0;
    show();
    viewer.showModal();
    (slider.hidden ? byId("close") : range).focus();
  };
  const go = (step) => {
    if (!photos.shown[shown + step]) return;
    shown += step;
    show();
  };
  byId("previous").addEventListener("click", () => go(-1));
  byId("next").addEventListener("click", () => go(1));
  byId("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => {
    if (event.target === viewer) viewer.close(); // the backdrop
  });
  document.addEventListener("keydown", (event) => {
    if (!viewer.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const sideways = event.target === range ? 0 : { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const step = sideways || { n: 1, p: -1 }[event.key.toLowerCase()];
    if (step) go(step);
    else if (event.key.toLowerCase() === "v") {
      view = (view + 1) % Math.max(1, views(photos.shown[shown]).length);
      showView();
    } else return;
    event.preventDefault();
  });
  viewer.addEventListener("close", () => {
    photos.makeUpTo(shown);
    list.children[shown]?.firstChild.focus();
  });

  const options = (select, names) => select.append(...names.map((name) => new Option(name, name)));
  options(status, Object.keys(kinds).filter((kind) => kind === "all" || data.photos.some(kinds[kind])));
  options(order, Object.keys(orders));
  photos.draw();
}
