/** The rules of one book: their names, and whether one of them applies to an iteration. */
export interface RuleBook<Name extends string> {
  names: readonly Name[];
  /** Whether the iteration was accepted under this rule. */
  holds: (iteration: { rules: readonly string[] }, name: Name) => boolean;
  /** The iteration's rules that this coordinator does not know, from a newer one: it can't decide the iteration. */
  unknownIn: (iteration: { rules: readonly string[] }) => string[];
}

/** @param reasons why each rule exists, by its name. */
export const ruleBook = <Name extends string>(reasons: Readonly<Record<Name, string>>): RuleBook<Name> => {
  const names = Object.keys(reasons) as Name[];
  return {
    names,
    holds: ({ rules }, name) => rules.includes(name),
    unknownIn: ({ rules }) => rules.filter((rule) => !(names as string[]).includes(rule)),
  };
};

/**
 * A rule marks a change in what the decider decides. It has a name and the reason why it was introduced. An iteration
 * keeps the rules under which it was accepted, to its end, so that a replay of its log decides the same again. Format 1
 * begins with none.
 */
export const rules = ruleBook({});
