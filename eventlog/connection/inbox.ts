/** What the subjects begin with under which a writer is answered. Nobody else may read there: `_INBOX.>` would be everybody's. */
export const inboxOf = (writer: string): string => `_INBOX_${writer}`;
