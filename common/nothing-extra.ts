/**
 * What the comparison of a server with its declarations prints when it finds nothing else.
 *
 * It is the `desired` input of resources: a change of one letter updates every server. `infra/scripts/extra-set.sh` prints the same words.
 */
export const NOTHING_EXTRA = "nothing beside what is declared";
