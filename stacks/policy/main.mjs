// Pulumi's runner of policy packs reads every .ts file with its own compiler. From here on Node reads them.
import "./pack.ts";
