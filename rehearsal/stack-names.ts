/** The stacks that have settings in this repository. */
export const STACKS = ["test", "staging", "prod"] as const;

export type StackName = (typeof STACKS)[number];
