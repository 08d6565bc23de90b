import type { StepName } from './step-names.ts';

/**
 * Every effect of every step, in the order in which they happen. The type of an effect's name follows from this table,
 * so an effect that is not named here does not compile. The fault suite kills an agent around each effect, and fails if
 * it did not meet one.
 */
export const stepEffects = {
  preflight: [],
  keycheck: ['trial'],
  land: ['manifest', 'package'],
  build: ['checkout', 'packages'],
  publish: ['trial', 'fetch', 'sign', 'view', 'swap', 'mirror'],
  presweep: ['table'],
  backup: ['archive', 'copy'],
  /** One effect per package file; the file's name follows. */
  stage: ['package'],
  install: ['hold', 'packages', 'initramfs'],
  reboot: ['arm', 'trial', 'reboot'],
  sweep: ['table'],
  confirm: ['settle', 'disarm'],
  rollback: ['disarm', 'archive', 'packages', 'files', 'settle', 'reboot'],
  record: ['commit'],
} as const satisfies Record<StepName, readonly string[]>;

/** The names of a step's effects. */
export type EffectName<Name extends StepName = StepName> = (typeof stepEffects)[Name][number];
