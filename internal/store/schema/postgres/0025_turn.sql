-- oldest: 1
-- What waits for one target, in its order, and what is to be looked at: so that a
-- long queue behind a slow or paused target is not walked to find the rest. (States
-- are named by what they are not: SQLite prefers an index on the state otherwise.)
CREATE INDEX delivery_turn ON delivery (target_id, due_at, id) WHERE due_at > 0 AND state NOT IN ('sent', 'applied', 'served', 'superseded');
CREATE INDEX delivery_look ON delivery (due_at, id) WHERE due_at > 0 AND state NOT IN ('due', 'failed', 'superseded');
