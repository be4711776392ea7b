/** What an environment survives, as a table at the terminal: docs/servers.md has the same words. */
import { describeLoss, LOSS_HEADINGS, lossesOf, type ShapeServer } from "../stacks/shapes.ts";
import { renderTable } from "./terminal.ts";

export function renderLosses(servers: readonly ShapeServer[]): string {
  return renderTable({ headings: LOSS_HEADINGS, rows: lossesOf(servers).map(describeLoss) });
}
