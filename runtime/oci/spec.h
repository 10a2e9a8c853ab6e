/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_OCI_SPEC_H
#define RUNTIME_OCI_SPEC_H

/*
 * config.json of a bundle (OCI runtime specification 1.x) as the protobuf
 * message that travels to the agent. One representation serves the command
 * line, the supervisor and the wire: the supervisor edits it (paths, hooks,
 * namespaces) before it sends it. Free with oci__spec__free_unpacked(s, NULL).
 *
 * Validation names file, line and field: "config.json:12: process.args: ...".
 * Members that the specification does not know are ignored, as it demands
 * (3.1, extensibility); what we know and cannot do is refused.
 */

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/json.h"

#define OCI_SPEC_MAX (4u << 20) /* bytes of config.json */

/* NULL: err. */
struct json *oci_json_load(const char *bundle, struct err *err);
Oci__Spec *oci_spec_load(const char *bundle, struct err *err);
Oci__Spec *oci_spec_from_json(const struct json *root, struct err *err);
/* "process" objects: of exec --process and of the Task API's Exec. */
Oci__Process *oci_process_from_json(const struct json *obj, struct err *err);
/* "resources" objects: of update --resources and the Task API's Update. */
Oci__LinuxResources *oci_resources_from_json(const struct json *obj,
					     struct err *err);

/* NULL when there is none. */
const char *oci_annotation(const Oci__Spec *spec, const char *key);
/* NULL: no namespace of that type ("network"). path "": a new one. */
const Oci__LinuxNamespace *oci_namespace(const Oci__Spec *spec,
					 const char *type);

/* Container ids: 1 to 1024 of [A-Za-z0-9_+.-], not "." or "..". */
int oci_check_id(const char *id, struct err *err) MUST_CHECK;

enum oci_role {
	OCI_SINGLE,	   /* a sandbox of its own, removed with it */
	OCI_POD_SANDBOX,   /* the first container of a pod */
	OCI_POD_CONTAINER, /* joins the sandbox named in *sandbox_id */
};
/* By the annotations of containerd's CRI and of CRI-O; contradictions and
 * bad ids are errors. *sandbox_id borrows from spec. */
int oci_role(const Oci__Spec *spec, enum oci_role *role,
	     const char **sandbox_id, struct err *err) MUST_CHECK;

#endif
