/** Names of resources as Pulumi's engine writes them. */
export interface Urn {
  readonly stack: string;
  readonly project: string;
  /** Types of the components around the resource, outermost first. */
  readonly parents: readonly string[];
  readonly type: string;
  /** Logical name: the first argument of the resource in the program. */
  readonly name: string;
}

const FORM = /^urn:pulumi:(?<stack>.*?)::(?<project>.*?)::(?<types>.*?)::(?<name>.*)$/s;

/** A text that is no URN is taken for a name. */
export function parseUrn(urn: string): Urn {
  const { stack = "", project = "", types = "", name = urn } = FORM.exec(urn)?.groups ?? {};
  const parents = types.split("$");
  const type = parents.pop() ?? "";
  return { stack, project, parents, type, name };
}

export function nameOf(urn: string): string {
  return parseUrn(urn).name;
}
