-- What Argo Workflows 4.1.2 (Apache-2.0) runs to make its archive in PostgreSQL: the statements of
-- persist/sqldb/migrate.go that concern these tables, in their order, for the cluster "default".
create table if not exists argo_workflow_history (id varchar(128), name varchar(256), phase varchar(25), namespace varchar(256), workflow text, startedat timestamp default CURRENT_TIMESTAMP, finishedat timestamp default CURRENT_TIMESTAMP, primary key (id, namespace));
alter table argo_workflow_history rename to argo_archived_workflows;
alter table argo_archived_workflows drop constraint argo_workflow_history_pkey;
alter table argo_archived_workflows add primary key(id);
alter table argo_archived_workflows rename column id to uid;
alter table argo_archived_workflows alter column uid set not null;
alter table argo_archived_workflows alter column phase set not null;
alter table argo_archived_workflows alter column namespace set not null;
alter table argo_archived_workflows alter column workflow set not null;
alter table argo_archived_workflows alter column startedat set not null;
alter table argo_archived_workflows alter column finishedat set not null;
alter table argo_archived_workflows add clustername varchar(64);
update argo_archived_workflows set clustername = 'default' where clustername is null;
alter table argo_archived_workflows alter column clustername set not null;
alter table argo_archived_workflows drop constraint argo_archived_workflows_pkey;
alter table argo_archived_workflows add primary key(clustername,uid);
create index argo_archived_workflows_i1 on argo_archived_workflows (clustername,namespace);
alter table argo_archived_workflows alter column workflow type json using workflow::json;
alter table argo_archived_workflows alter column name set not null;
create table if not exists argo_archived_workflows_labels (clustername varchar(64) not null, uid varchar(128) not null, name varchar(317) not null, value varchar(63) not null, primary key (clustername, uid, name), foreign key (clustername, uid) references argo_archived_workflows(clustername, uid) on delete cascade);
alter table argo_archived_workflows add column instanceid varchar(64);
update argo_archived_workflows set instanceid = '' where instanceid is null;
alter table argo_archived_workflows alter column instanceid set not null;
drop index argo_archived_workflows_i1;
create index argo_archived_workflows_i1 on argo_archived_workflows (clustername,instanceid,namespace);
create index argo_archived_workflows_i2 on argo_archived_workflows (clustername,instanceid,finishedat);
create index argo_archived_workflows_i3 on argo_archived_workflows (clustername,instanceid,name);
create index argo_archived_workflows_i4 on argo_archived_workflows (startedat);
create index argo_archived_workflows_labels_i1 on argo_archived_workflows_labels (name,value);
-- since 3.6
alter table argo_archived_workflows alter column workflow set data type jsonb using workflow::jsonb;
drop index argo_archived_workflows_i4;
create index argo_archived_workflows_i4 on argo_archived_workflows (clustername, startedat);
alter table argo_archived_workflows add column creationtimestamp timestamp null;
update argo_archived_workflows set creationtimestamp = startedat where creationtimestamp is null;
alter table argo_archived_workflows alter column creationtimestamp set default CURRENT_TIMESTAMP;
create index argo_archived_workflows_i5 on argo_archived_workflows (creationtimestamp);
-- since 4.0
drop index argo_archived_workflows_i1;
create index argo_archived_workflows_i1 on argo_archived_workflows (clustername, instanceid, namespace, startedat DESC);
