/** Types of nodes, their versions and their credentials, as the pinned n8n has them; what refers to another node or workflow. */
import { closest } from "fastest-levenshtein";

import { calledWorkflows } from "../../../provider/n8n/content.ts";
import { DOCUMENTS } from "../../../common/documents.ts";
import { NAMESPACE } from "../../../secrets/catalog.ts";
import type { Problem } from "../problem.ts";
import { enabledNodesOf, nodesOf, repeated, type Judged } from "./rule.ts";

/** What n8n's environment excludes (`NODES_EXCLUDE` in components/n8n.ts). */
export const EXCLUDED_NODES: readonly string[] = [
  "n8n-nodes-base.executeCommand",
  "n8n-nodes-base.localFileTrigger",
  "n8n-nodes-base.ssh",
];

export const ERROR_TRIGGER = "n8n-nodes-base.errorTrigger";

export function knownTypes({ known, ...judged }: Judged): Problem[] {
  if (known === undefined) return [];
  return nodesOf(judged).flatMap(({ node: { type, typeVersion }, at }): Problem[] => {
    const path = `${at}.type`;
    const versions = Object.hasOwn(known.nodes, type) ? known.nodes[type]! : undefined;
    if (EXCLUDED_NODES.includes(type))
      return [
        {
          path,
          text: `expected a node that n8n may run, got ${type}, which the deployment turns off; use another`,
        },
      ];
    if (versions === undefined) {
      const near = closest(type, Object.keys(known.nodes));
      return [
        { path, text: `expected a node that n8n ${known.n8n} knows, got ${type}; the nearest is ${near}` },
      ];
    }
    if (versions.includes(typeVersion)) return [];
    const isNewer = typeVersion > Math.max(...versions);
    const why = isNewer ? ", which is from a newer n8n" : "";
    const text = `expected a version of ${type} that n8n ${known.n8n} knows (${versions.join(", ")}), got ${typeVersion}${why}; add the node again in the editor of that n8n`;
    return [{ path: `${at}.typeVersion`, text }];
  });
}

export function declaredCredentials({ credentials, folder, ...judged }: Judged): Problem[] {
  return nodesOf(judged).flatMap(({ node, at }) =>
    Object.entries(node.credentials ?? {}).flatMap(([type, { id, name }]): Problem[] => {
      const path = `${at}.credentials.${type}`;
      const found = credentials.find((one) => one.id === id);
      if (found === undefined) {
        const known = credentials.map((one) => one.id).join(", ") || "none so far";
        const text = `expected the id of credentials in ${folder}/credentials.yaml (${known}), got ${JSON.stringify(id)}; declare them there`;
        return [{ path, text }];
      }
      if (found.type !== type)
        return [
          {
            path,
            text: `expected credentials of the type ${type}, got ${found.id}, which has ${found.type}; name others`,
          },
        ];
      if (found.name === name) return [];
      return [
        {
          path: `${path}.name`,
          text: `expected ${JSON.stringify(found.name)}, as ${found.id} is called, got ${JSON.stringify(name)}; correct it`,
        },
      ];
    }),
  );
}

/** Each workflow's failures have to go somewhere; in n8n 2, only to a workflow that is published. */
export function errorWorkflow({ files, folder }: Judged): Problem[] {
  const isFor = (errors: boolean) => (file: (typeof files)[number]) =>
    file.workflow.nodes.some(({ type }) => type === ERROR_TRIGGER) === errors;
  const handlers = files.filter(isFor(true)).map(({ workflow }) => workflow.id);
  const offer =
    handlers.length === 0 ? `a workflow of ${folder} with the node ${ERROR_TRIGGER}` : handlers.join(" or ");
  return files.filter(isFor(false)).flatMap(({ file, workflow }) => {
    const { errorWorkflow: given } = workflow.settings;
    if (given !== undefined && handlers.includes(given)) return [];
    const text = `expected the workflow that handles errors (${offer}), got ${given === undefined ? "nothing" : JSON.stringify(given)}; name it`;
    return [{ path: `${file}: settings.errorWorkflow`, text }];
  });
}

export function uniqueIds({ files }: Judged): Problem[] {
  const nodes = files.flatMap(({ file, workflow }) => {
    const twice = (key: "id" | "name") =>
      repeated(workflow.nodes, (node) => node[key]).map(({ entry }) => ({
        path: `${file}: nodes`,
        text: `expected each node's ${key} once, got ${JSON.stringify(entry[key])} again; change one of them`,
      }));
    return [...twice("id"), ...twice("name")];
  });
  const workflows = repeated(files, ({ workflow }) => workflow.id).map(({ entry, first }) => ({
    path: `${entry.file}: id`,
    text: `expected an id of its own, got ${entry.workflow.id}, that of ${first.file}; change one of them`,
  }));
  return [...workflows, ...nodes];
}

export function knownConnections({ files }: Judged): Problem[] {
  return files.flatMap(({ file, workflow: { nodes, connections } }) => {
    const names = nodes.map(({ name }) => name);
    const used = Object.entries(connections).flatMap(([from, outputs]) => [
      from,
      ...Object.values(outputs).flatMap((lists) =>
        lists.flatMap((list) => (list ?? []).map((one) => one.node)),
      ),
    ]);
    return [...new Set(used)]
      .filter((name) => !names.includes(name))
      .map((name) => ({
        path: `${file}: connections`,
        text: `expected the name of a node (${names.join(", ")}), got ${JSON.stringify(name)}; correct it`,
      }));
  });
}

export function knownSubWorkflows({ files }: Judged): Problem[] {
  const ids = files.map(({ workflow }) => workflow.id);
  return enabledNodesOf({ files }).flatMap((placed) =>
    calledWorkflows(placed.node)
      .filter((id) => !ids.includes(id))
      .map((id) => ({
        path: `${placed.at}.parameters.workflowId`,
        text: `expected a workflow of this folder (${ids.join(", ")}), got ${JSON.stringify(id)}; n8n publishes no workflow that starts one it does not have`,
      })),
  );
}

const FILES = "n8n-nodes-base.readWriteFile";

/** n8n opens files in one folder only, which an environment has where it keeps documents. An expression may decide about the rest of a path. */
export function keptFiles({ files, environment }: Judged): Problem[] {
  return enabledNodesOf({ files })
    .filter(({ node }) => node.type === FILES)
    .flatMap(({ node, at }): Problem[] => {
      if (!environment.documents.enabled) {
        const text = `expected documents.enabled to be true, because n8n opens no file without it, got false; set it with pulumi config set --path ${NAMESPACE}:documents.enabled true --stack ${environment.name}`;
        return [{ path: `${at}.type`, text }];
      }
      const key = node.parameters["operation"] === "write" ? "fileName" : "fileSelector";
      const given = node.parameters[key];
      const path = typeof given === "string" ? given.replace(/^=/, "") : "";
      if (path.startsWith(`${DOCUMENTS.folder}/`) || path.startsWith("{{")) return [];
      const text = `expected a file in ${DOCUMENTS.folder}, the only folder that n8n opens, got ${JSON.stringify(path)}; move it there`;
      return [{ path: `${at}.parameters.${key}`, text }];
    });
}
