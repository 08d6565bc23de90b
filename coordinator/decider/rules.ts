/** The rules of one book: their names, and whether an iteration is decided by one of them. */
export interface RuleBook<Name extends string> {
  names: readonly Name[];
  /** Whether the iteration was accepted under this rule. */
  holds: (iteration: { rules: readonly string[] }, name: Name) => boolean;
  /** Those that a newer coordinator has accepted the iteration under: nobody here can decide it. */
  unknownIn: (iteration: { rules: readonly string[] }) => string[];
}

/** @param reasons why each rule is there, by its name. */
export const ruleBook = <Name extends string>(reasons: Readonly<Record<Name, string>>): RuleBook<Name> => {
  const names = Object.keys(reasons) as Name[];
  return {
    names,
    holds: ({ rules }, name) => rules.includes(name),
    unknownIn: ({ rules }) => rules.filter((rule) => !(names as string[]).includes(rule)),
  };
};

/**
 * What was decided differently before: each rule has a name and the reason why it came. An iteration keeps the rules that it was
 * accepted under, to its end, so that its log is decided again as it was. Format 1 begins with none.
 */
export const rules = ruleBook({});
