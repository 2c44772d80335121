-- Cruds of one lifetime expire in the order in which they were made: those that live are one stretch of an index, and what has expired
-- is never looked at. Null for a reply, which is in no feed. Cruds from before count as of the longest lifetime: `expires_at` still rules.
ALTER TABLE activities ADD COLUMN ttl_hours bigint;
ALTER TABLE activities ADD COLUMN replies_count bigint NOT NULL DEFAULT 0;
-- Replies are numbered, so that the newest of each of many cruds are a stretch of an index too, whichever have been deleted.
ALTER TABLE activities ADD COLUMN replies_made bigint NOT NULL DEFAULT 0;
ALTER TABLE activities ADD COLUMN reply_number bigint;

UPDATE activities SET ttl_hours = 720 WHERE reply_to_activity_uuid IS NULL;
UPDATE activities SET replies_count =
    (SELECT count(*) FROM activities r WHERE r.reply_to_activity_uuid = activities.uuid);
UPDATE activities SET replies_made = replies_count;
UPDATE activities SET reply_number =
    (SELECT count(*) FROM activities r WHERE r.reply_to_activity_uuid = activities.reply_to_activity_uuid
     AND (r.created_at, r.uuid) <= (activities.created_at, activities.uuid))
    WHERE reply_to_activity_uuid IS NOT NULL;

DROP INDEX activities_feed;
CREATE INDEX activities_feed ON activities (ttl_hours, created_at DESC, uuid DESC);
CREATE INDEX activities_by_number ON activities (reply_to_activity_uuid, reply_number);
-- For the count of somebody's living cruds.
CREATE INDEX activities_by_user_and_expiry ON activities (user_uuid, expires_at);
