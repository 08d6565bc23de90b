/**
 * The prefix of the subjects on which a writer gets its answers. Nobody else may read there; `_INBOX.>` would be shared
 * by all.
 */
export const inboxOf = (writer: string): string => `_INBOX_${writer}`;
