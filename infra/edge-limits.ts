/** Rules that OVH's edge firewall holds for an address. */
export const MOST_EDGE_RULES = 20;

/** Rules of ours that are not about ssh: six that permit, and the one that denies the rest. */
const OTHER_RULES = 7;

/** Networks that may be let in to ssh. */
export const MOST_SSH_NETWORKS = MOST_EDGE_RULES - OTHER_RULES;
