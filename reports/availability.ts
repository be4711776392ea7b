/** The team's two objectives of availability, in percent of the time, as its documents have them. */
export const AVAILABILITY_OBJECTIVES = {
  /** Less is worse than promised. */
  least: 99.5,

  /** Less must at least not be worse than before. */
  good: 99.9,
} as const;
