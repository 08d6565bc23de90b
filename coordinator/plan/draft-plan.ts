import { z } from 'zod';
import { ClauseName, FileName, HostName, PersonName } from '../../schemas/names.ts';
import { Expectation } from '../../schemas/plan.ts';

const text = <Schema extends z.ZodType>(schema: Schema) => schema.optional().catch(undefined);
const list = <Schema extends z.ZodType>(schema: Schema) => z.array(schema).catch([]);
const part = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.preprocess(
    (value) => (typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}),
    z.object(shape),
  );

/**
 * A plan as far as it can be read, for the rules that compare its parts: so one typing error does not hide the other
 * faults. A value that does not fit the plan's schema is undefined here, and lists keep their indexes.
 */
export const DraftPlan = part({
  iteration: text(z.string()),
  board: text(HostName),
  hosts: part({ builders: list(text(HostName)), publisher: text(HostName), backup: text(HostName) }),
  series: part({ folder: text(z.string().min(1)), patches: list(text(FileName)) }),
  package: part({ from: text(z.string()), to: text(z.string()), installed: text(z.string()) }),
  review: part({ approvals: list(text(PersonName)) }),
  sweep: part({
    paths: list(part({ name: text(z.string()) })),
    rows: list(
      part({ name: text(z.string()), expect: list(text(Expectation)), because: text(z.string().min(1)) }),
    ),
  }),
  clauses: list(
    part({
      id: text(ClauseName),
      proof: list(
        part({
          check: text(z.string()),
          patch: text(FileName),
          by: list(text(PersonName)),
          file: text(FileName),
        }),
      ),
    }),
  ),
  close: part({
    document: text(FileName),
    scoreboard: part({ file: text(FileName) }),
    notes: list(part({ file: text(FileName) })),
  }),
});
export type DraftPlan = z.infer<typeof DraftPlan>;
