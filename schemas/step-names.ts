import { z } from 'zod';

/** Every step in the order in which an operator thinks of them. */
export const stepNames = [
  'preflight',
  'keycheck',
  'land',
  'build',
  'publish',
  'presweep',
  'backup',
  'stage',
  'install',
  'reboot',
  'sweep',
  'confirm',
  'rollback',
  'record',
] as const;

export const StepName = z.enum(stepNames);
export type StepName = z.infer<typeof StepName>;

export const Role = z.enum(['builder', 'publisher', 'board']);
export type Role = z.infer<typeof Role>;
