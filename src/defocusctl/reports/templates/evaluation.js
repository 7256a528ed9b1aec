// The table of the single images.
{
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
  const order = { column: null, descending: false };
  const compare = (a, b) => {
    const [x, y] = [order.column.of(a), order.column.of(b)];
    if (x === null || y === null) return (x === null) - (y === null); // what is not there comes last
    if (!order.column.numeric) return (order.descending ? -1 : 1) * collator.compare(x, y);
    const difference = Number(x) === Number(y) ? 0 : Number(x) - Number(y); // infinities too
    return order.descending ? -difference : difference;
  };

  const [method, protocol] = ["method", "protocol"].map(byId);
  const choices = (select, names) => {
    select.append(...names.map((name, i) => new Option(name, i)));
    select.parentElement.hidden = names.length < 2;
  };
  method.append(new Option("all", ""));
  choices(method, data.methods);
  choices(protocol, data.protocols);

  const table = byId("rows");
  const rows = listing({
    items: () => data.rows.filter(
      (row) => row[0] === Number(protocol.value) && (method.value === "" || row[1] === Number(method.value)),
    ),
    noun: "row",
    accepts: () => true,
    name: (row) => `${data.images[row[2]]} ${data.labels?.[row[2]] ?? ""}`,
    compare: () => order.column && compare,
    make: (row) => element("tr", {}, ...columns.map((column) => {
      const value = column.of(row);
      return column.numeric
        ? element("td", { text: format(value, column), class: "number" })
        : element("td", { text: value });
    })),
    into: table.tBodies[0],
    root: table.closest(".scroll"),
    chunk: 300,
  });

  const heads = columns.map((column) => {
    const button = element("button", { type: "button", text: column.title });
    const head = element("th", { scope: "col", "aria-sort": "none", class: column.numeric ? "number" : "" }, button);
    button.addEventListener("click", () => {
      order.descending = order.column === column && !order.descending;
      order.column = column;
      for (const other of heads) other.ariaSort = "none";
      head.ariaSort = order.descending ? "descending" : "ascending";
      rows.draw();
    });
    return head;
  });
  table.tHead.append(element("tr", {}, ...heads));
  rows.draw();
}
