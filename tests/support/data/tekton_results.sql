-- The tables of Tekton Results (Apache-2.0) in PostgreSQL, as its API server makes them of the models in
-- pkg/api/server/db/model.go at commit 1ad89d22.
create table results (
  parent varchar(64), id varchar(64), name varchar(64), annotations jsonb,
  created_time timestamptz default current_timestamp, updated_time timestamptz default current_timestamp,
  recordsummary_record varchar(256), recordsummary_type varchar(768), recordsummary_start_time timestamptz,
  recordsummary_end_time timestamptz, recordsummary_status integer, recordsummary_annotations jsonb,
  etag varchar(128), primary key (parent, id)
);
create unique index results_by_name on results (parent, name);
create table records (
  parent varchar(64), result_id varchar(64), result_name varchar(64), id varchar(64), name varchar(64),
  type varchar(768), data jsonb,
  created_time timestamptz default current_timestamp, updated_time timestamptz default current_timestamp,
  etag varchar(128), primary key (parent, result_id, id),
  constraint fk_records_result foreign key (parent, result_id) references results (parent, id) on update cascade on delete cascade
);
create unique index records_by_name on records (parent, result_name, name);
