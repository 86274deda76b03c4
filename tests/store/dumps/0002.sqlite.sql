BEGIN TRANSACTION;
CREATE TABLE tilores_batch_jobs (
	id VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	owner VARCHAR(200) NOT NULL, 
	fence BIGINT NOT NULL, 
	created_ms BIGINT NOT NULL, 
	started_ms BIGINT, 
	ended_ms BIGINT, 
	lines BIGINT, 
	totals JSON NOT NULL, 
	options JSON NOT NULL, 
	error TEXT, kind VARCHAR(16) DEFAULT 'batch' NOT NULL, 
	CONSTRAINT pk_tilores_batch_jobs PRIMARY KEY (id)
);
INSERT INTO "tilores_batch_jobs" VALUES('whole','done','desk',3,1790000000000,1790000000001,1790000009999,3000000000,'{"done":2,"cost":0.25}','{"model":"demo:simulated-1","nested":{"list":[1,null,"ü''\"\\"]}}','line 1: ''quoted''; "twice"
and on, ☎','prewarm');
INSERT INTO "tilores_batch_jobs" VALUES('bare','queued','',0,1790000000002,NULL,NULL,NULL,'{}','{}',NULL,'batch');
CREATE TABLE tilores_changes (
	topic VARCHAR(64) NOT NULL, 
	counter BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_changes PRIMARY KEY (topic)
);
INSERT INTO "tilores_changes" VALUES('batch',5000000000);
INSERT INTO "tilores_changes" VALUES('prompts',1);
CREATE TABLE tilores_leases (
	name VARCHAR(200) NOT NULL, 
	holder VARCHAR(200) NOT NULL, 
	fence BIGINT NOT NULL, 
	expires_ms BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_leases PRIMARY KEY (name)
);
INSERT INTO "tilores_leases" VALUES('batch:äß','replica-1',5000000001,1790000000123);
INSERT INTO "tilores_leases" VALUES('prewarm','',7,0);
CREATE TABLE tilores_revision (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT tilores_revision_pkc PRIMARY KEY (version_num)
);
INSERT INTO "tilores_revision" VALUES('0002');
CREATE TABLE tilores_warmed_entries (
	"key" VARCHAR(200) NOT NULL, 
	changed_ms BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_warmed_entries PRIMARY KEY ("key")
);
INSERT INTO "tilores_warmed_entries" VALUES('answers:0f',1790000000003);
CREATE TABLE tilores_worker_reports (
	name VARCHAR(64) NOT NULL, 
	value JSON NOT NULL, 
	changed_ms BIGINT NOT NULL, 
	CONSTRAINT pk_tilores_worker_reports PRIMARY KEY (name)
);
INSERT INTO "tilores_worker_reports" VALUES('prewarm','{"ü":[1,null]}',1790000000004);
CREATE INDEX ix_tilores_batch_jobs_created_ms_id ON tilores_batch_jobs (created_ms, id);
CREATE INDEX ix_tilores_batch_jobs_state ON tilores_batch_jobs (state);
CREATE INDEX ix_tilores_warmed_entries_changed_ms ON tilores_warmed_entries (changed_ms);
COMMIT;
