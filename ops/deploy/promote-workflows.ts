/**
 * The workflows of a promotion: the target gets those that the source has verified. The commit comes from the source's settings, never from the
 * server; what the state and the record say has to be what that commit has.
 */
import type { Release } from "../../common/release.ts";
import type { Environment } from "../../stacks/environment.ts";
import { readEnvironment } from "../engine/settings.ts";
import { readDeployedWorkflows } from "../engine/state.ts";
import { readFolderSet, setOf } from "../workflows/released.ts";
import type { Operator } from "./session.ts";

interface Promoted {
  readonly from: string;
  readonly to: string;

  /** Settings of the one that gets them. */
  readonly target: Environment;

  /** The release that the source has verified. */
  readonly release: Release;
}

interface JudgedWorkflows {
  readonly problem?: string;

  /** To write into the target's settings; undefined where it uses a folder of the project. */
  readonly commit?: string;
}

/** A target that leaves n8n alone gets none. */
export async function judgeWorkflows(
  { from, to, target, release }: Promoted,
  operator: Pick<Operator, "pulumi" | "signal" | "say" | "project">,
): Promise<JudgedWorkflows> {
  if (!target.workflows.enabled) return {};
  const deployed = await readDeployedWorkflows(from, operator.pulumi);
  if (deployed === undefined || release.workflows === undefined)
    return {
      problem:
        `workflows: expected workflows that ${from} has verified, because ${to} runs them, got none in release ${release.number}; ` +
        `turn workflows.enabled on in ${from} and deploy that, or off in ${to}`,
    };
  const { digest } = setOf(deployed);
  if (digest !== release.workflows)
    return {
      problem:
        `workflows: expected the Pulumi state of ${from} and the record of release ${release.number} on its server to have the same ones, got others; ` +
        `deploy ${from} again, and find out who changed them`,
    };
  const commit = target.workflows.source === undefined ? undefined : await commitOf(from, operator);
  if (target.workflows.source !== undefined && commit === undefined)
    return {
      problem:
        `workflows: expected ${from} to take its workflows from a repository at a commit, as ${to} does, got a folder of this project; ` +
        `give both the same technicia:workflows.source`,
    };
  const { set, problem } = await readFolderSet({ ...operator, environment: withCommitOf(target, commit) });
  if (problem !== undefined) return { problem: `workflows: ${problem}` };
  if (set?.digest === digest) return { ...(commit !== undefined && { commit }) };
  const revision = release.revision.slice(0, 12);
  const verified = `workflows: expected those that ${from} has verified (release ${release.number}, revision ${revision})`;
  return {
    problem:
      commit === undefined
        ? `${verified}, got others in this checkout; check that revision out, or deploy ${from} with these first`
        : `${verified}, got others at commit ${commit.slice(0, 12)}, which Pulumi.${from}.yaml names; deploy ${from} with it first, or check that revision out`,
  };
}

async function commitOf(from: string, { pulumi }: Pick<Operator, "pulumi">): Promise<string | undefined> {
  return (await readEnvironment(from, pulumi)).workflows.source?.commit;
}

/** The target with that commit of its own repository. */
function withCommitOf(target: Environment, commit: string | undefined): Environment {
  const { source } = target.workflows;
  if (source === undefined || commit === undefined) return target;
  return { ...target, workflows: { ...target.workflows, source: { ...source, commit } } };
}

/** What the promotion changes of the workflows, for people. */
export function renderCommit({ workflows: { source } }: Environment, { commit }: JudgedWorkflows): string[] {
  if (source === undefined || commit === undefined || source.commit === commit) return [];
  return [`workflows ${source.commit.slice(0, 12)} → ${commit.slice(0, 12)}`];
}
