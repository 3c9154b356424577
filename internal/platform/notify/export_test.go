package notify

// StuckMessagesSQL lets a test hold the auditor's query to its index.
const StuckMessagesSQL = stuckMessages
