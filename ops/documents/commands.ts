import type { Commands } from "../command.ts";
import { incident } from "./incident-command.ts";
import { report } from "./report-command.ts";

export const commands: Commands = { report, incident };
