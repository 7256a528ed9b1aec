// The table of the single images.
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const byId = (id) => document.getElementById(id);
  const element = (name, text, className) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const format = (value, { decimals, signed }) => {
    if (value === null) return "–";
    const number = Number(value);
    const digits = Number.isFinite(number) ? Math.abs(number).toFixed(decimals) : "∞";
    const sign = Number(digits) === 0 ? "" : number < 0 ? "−" : signed ? "+" : "";
    return sign + digits;
  };

  const columns = [
    { title: "Image", of: (row) => data.images[row[2]] },
    ...(data.labels ? [{ title: "Label", of: (row) => data.labels[row[2]] }] : []),
    ...(data.methods.length > 1 ? [{ title: "Method", of: (row) => data.methods[row[1]] }] : []),
    ...data.columns.map((column, i) => ({ ...column, numeric: true, of: (row) => row[3 + i] })),
  ];

  const line = (row) => {
    const made = document.createElement("tr");
    for (const column of columns) {
      const value = column.of(row);
      made.append(column.numeric ? element("td", format(value, column), "number") : element("td", value));
    }
    return made;
  };

  const order = { column: null, descending: false };
  const compare = (a, b) => {
    const [x, y] = [order.column.of(a), order.column.of(b)];
    if (x === null || y === null) return (x === null) - (y === null); // what is not there comes last
    if (!order.column.numeric) return (order.descending ? -1 : 1) * collator.compare(x, y);
    const difference = Number(x) === Number(y) ? 0 : Number(x) - Number(y); // infinities too
    return order.descending ? -difference : difference;
  };

  // Thousands of rows are drawn as far as one scrolls.
  const CHUNK = 300;
  const body = byId("rows").tBodies[0];
  const box = body.closest(".scroll");
  let waiting = [];
  const drawOn = () => body.append(...waiting.splice(0, CHUNK).map(line));
  box.addEventListener("scroll", () => {
    if (waiting.length && box.scrollTop + 3 * box.clientHeight > box.scrollHeight) drawOn();
  });

  const [filter, method, protocol] = ["filter", "method", "protocol"].map(byId);
  const draw = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const candidates = data.rows.filter(
      (row) => row[0] === Number(protocol.value) && (method.value === "" || row[1] === Number(method.value)),
    );
    const rows = candidates.filter((row) => {
      const name = `${data.images[row[2]]} ${data.labels?.[row[2]] ?? ""}`.toLowerCase();
      return words.every((word) => name.includes(word));
    });
    if (order.column) rows.sort(compare);
    byId("count").textContent = `${rows.length} of ${candidates.length} rows`;
    waiting = rows;
    body.replaceChildren();
    box.scrollTop = 0;
    drawOn();
  };

  const heads = columns.map((column) => {
    const head = element("th", "", column.numeric ? "number" : "");
    const button = element("button", column.title);
    button.type = "button";
    head.scope = "col";
    head.ariaSort = "none";
    head.append(button);
    button.addEventListener("click", () => {
      order.descending = order.column === column && !order.descending;
      order.column = column;
      for (const other of heads) other.ariaSort = "none";
      head.ariaSort = order.descending ? "descending" : "ascending";
      draw();
    });
    return head;
  });
  const headRow = document.createElement("tr");
  headRow.append(...heads);
  byId("rows").tHead.append(headRow);

  const choices = (select, names) => select.append(...names.map((name, i) => new Option(name, i)));
  method.append(new Option("all", ""));
  choices(method, data.methods);
  choices(protocol, data.protocols);
  byId("method-label").hidden = data.methods.length < 2;
  byId("protocol-label").hidden = data.protocols.length < 2;
  byId("controls").hidden = false;
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  filter.addEventListener("input", draw);
  for (const select of [method, protocol]) select.addEventListener("change", draw);
  draw();
}
