/** Draws /openapi.json as a page to read: every operation with what it takes and answers. */
const METHODS = ["get", "post", "put", "patch", "delete"];
const MOST_NESTED = 3;

const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
}

/** Follows a reference inside `api` to the schema that it names. */
function resolve(api, schema) {
  const path = schema?.$ref?.slice(2).split("/");
  return path ? path.reduce((part, name) => part?.[name], api) : schema;
}

/** A few words for the type of a schema. */
function typeOf(api, schema = {}) {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.map((choice) => typeOf(api, choice)).join(" or ");
  const found = resolve(api, schema);
  if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(" or ");
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.type === "array") return `list of ${typeOf(api, found.items)}`;
  if (found.properties) return found.title ?? "object";
  const limits = [
    ["from", found.minimum ?? found.exclusiveMinimum],
    ["to", found.maximum],
    ["at most", found.maxLength && `${found.maxLength} characters`],
  ];
  const told = limits.filter(([, value]) => value !== undefined).map((limit) => limit.join(" "));
  return [found.type ?? "anything", ...told].join(" ");
}

/** One row a field; the fields of objects follow theirs, with a dotted name. */
function fieldRows(api, schema, prefix = "", depth = 0) {
  const found = resolve(api, schema);
  if (found?.type === "array") return fieldRows(api, found.items, `${prefix}[].`, depth + 1);
  const rows = [];
  for (const [name, field] of Object.entries(found?.properties ?? {})) {
    const needed = found.required?.includes(name) ?? false;
    const byDefault = field.default != null ? `, ${JSON.stringify(field.default)} by default` : "";
    const type = typeOf(api, field) + (needed ? "" : byDefault || ", optional");
    rows.push([prefix + name, type, field.description ?? ""]);
    if (depth < MOST_NESTED) rows.push(...fieldRows(api, field, `${prefix}${name}.`, depth + 1));
  }
  return rows;
}

function table(rows) {
  const cells = ([name, type, about]) =>
    element("tr", {}, element("td", {}, element("code", {}, name)), element("td", {}, type), element("td", {}, about));
  return element("table", {}, ...rows.map(cells));
}

function section(title, rows) {
  return rows.length ? [element("h3", {}, title), table(rows)] : [];
}

function contentOf(described) {
  const [type, content] = Object.entries(described?.content ?? {})[0] ?? [];
  return { type, schema: content?.schema };
}

function drawOperation(api, method, path, operation) {
  const parameters = (operation.parameters ?? []).map((parameter) => [
    parameter.name,
    `${typeOf(api, parameter.schema)}, in the ${parameter.in}`,
    parameter.description ?? "",
  ]);
  const body = contentOf(operation.requestBody);
  const answers = Object.entries(operation.responses ?? {});
  const done = answers.filter(([status]) => status < 400);
  const failed = answers.filter(([status]) => status >= 400).map(([status]) => status);
  const parts = [
    element("p", {}, operation.description ?? operation.summary ?? ""),
    ...section("Parameters", parameters),
    ...section("Body", fieldRows(api, body.schema)),
  ];
  for (const [status, answer] of done) {
    const { type, schema } = contentOf(answer);
    const rows = fieldRows(api, schema);
    parts.push(element("h3", {}, `Answer ${status}${type ? `, ${type}` : ""}`));
    parts.push(rows.length ? table(rows) : element("p", {}, schema ? typeOf(api, schema) : "empty"));
  }
  if (failed.length) parts.push(element("p", {}, `Errors: ${failed.join(", ")}.`));
  return element(
    "details",
    {},
    element(
      "summary",
      {},
      element("span", { className: "method" }, method.toUpperCase()),
      element("code", {}, path),
      element("span", { className: "what" }, operation.summary ?? ""),
    ),
    element("div", { className: "body" }, ...parts),
  );
}

function draw(api) {
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((name) => name in item)) {
      const group = item[method].tags?.[0] ?? "other";
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(drawOperation(api, method, path, item[method]));
    }
  }
  const { title, version, description } = api.info;
  byId("title").textContent = `${title} API ${version}`;
  byId("about").textContent = description;
  const drawn = [...groups].map(([name, operations]) =>
    element("section", {}, element("h2", {}, name), ...operations),
  );
  byId("operations").replaceChildren(...drawn);
}

try {
  const answer = await fetch("/openapi.json");
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  draw(await answer.json());
} catch (error) {
  const text = `The description could not be loaded: ${error.message}.`;
  byId("about").replaceChildren(element("span", { className: "error" }, text));
}
