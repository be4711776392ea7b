"""Collections on disk: one shard of Qdrant's storage engine each, with the settings it was made from beside it."""

import json
import pathlib
import shutil
import tarfile
import threading
import uuid

import qdrant_edge as edge

from filters import read_filter

DISTANCES = {"Cosine": edge.Distance.Cosine, "Dot": edge.Distance.Dot, "Euclid": edge.Distance.Euclid, "Manhattan": edge.Distance.Manhattan}
INDEX_TYPES = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
    "bool": edge.PayloadSchemaType.Bool,
    "text": edge.PayloadSchemaType.Text,
    "datetime": edge.PayloadSchemaType.Datetime,
    "uuid": edge.PayloadSchemaType.Uuid,
}


class Refused(Exception):
    """An answer other than 200, with Qdrant's words."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Collection:
    def __init__(self, folder, settings):
        self.folder, self.settings, self.lock = folder, settings, threading.RLock()
        shard = folder / "shard"
        if shard.exists():
            self.shard = edge.EdgeShard.load(str(shard))
            return
        vectors = settings["vectors"]
        parameters = edge.EdgeVectorParams(size=vectors["size"], distance=DISTANCES[vectors["distance"]])
        shard.mkdir(parents=True)
        self.shard = edge.EdgeShard.create(str(shard), edge.EdgeConfig(vectors=parameters))
        self._save()

    def _save(self):
        path = self.folder / "settings.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(self.settings))
        temporary.replace(path)

    def apply(self, operation):
        with self.lock:
            self.shard.update(operation)
            self.shard.flush()

    def describe(self):
        with self.lock:
            points = self.shard.count(edge.CountRequest(exact=True))
            schema = {}
            for field, kind in self.settings["indexes"].items():
                present = edge.Filter(must_not=[edge.IsEmptyCondition(field)])
                schema[field] = {"data_type": kind, "points": self.shard.count(edge.CountRequest(filter=present, exact=True))}
        return {
            "status": "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": 0,
            "points_count": points,
            "segments_count": 1,
            "config": {"params": {"vectors": self.settings["vectors"], "shard_number": 1, "replication_factor": 1, "on_disk_payload": True}},
            "payload_schema": schema,
        }

    def create_index(self, field, kind):
        if kind not in INDEX_TYPES:
            raise Refused(400, f"Format error in JSON body: unknown payload schema `{kind}`")
        self.apply(edge.UpdateOperation.create_field_index(field, INDEX_TYPES[kind]))
        self.settings["indexes"][field] = kind
        self._save()

    def delete_index(self, field):
        if self.settings["indexes"].pop(field, None) is not None:
            self.apply(edge.UpdateOperation.delete_field_index(field))
            self._save()

    def upsert(self, points):
        size = self.settings["vectors"]["size"]
        made = []
        for point in points:
            vector = point["vector"]
            if len(vector) != size:
                raise Refused(400, f"Wrong input: Vector dimension error: expected dim: {size}, got {len(vector)}")
            made.append(edge.Point(read_id(point["id"]), vector, point.get("payload") or {}))
        self.apply(edge.UpdateOperation.upsert_points(made))

    def delete(self, selector):
        if "filter" in selector:
            chosen = read_filter(selector["filter"])
            self.apply(edge.UpdateOperation.delete_points_by_filter(chosen or edge.Filter()))
        else:
            self.apply(edge.UpdateOperation.delete_points([read_id(one) for one in selector["points"]]))

    def search(self, vector, limit, offset, chosen, with_payload, with_vector, threshold):
        size = self.settings["vectors"]["size"]
        if len(vector) != size:
            raise Refused(400, f"Wrong input: Vector dimension error: expected dim: {size}, got {len(vector)}")
        request = edge.SearchRequest(
            query=edge.Query.Nearest(vector),
            limit=limit,
            offset=offset,
            filter=read_filter(chosen),
            with_payload=with_payload,
            with_vector=with_vector,
            score_threshold=threshold,
        )
        with self.lock:
            found = self.shard.search(request)
        return [{"id": show_id(one.id), "version": one.version, "score": one.score, **_parts(one)} for one in found]

    def retrieve(self, ids, with_payload, with_vector):
        with self.lock:
            found = self.shard.retrieve([read_id(one) for one in ids], with_payload, with_vector)
        return [{"id": show_id(one.id), **_parts(one)} for one in found]

    def scroll(self, limit, offset, chosen, with_payload, with_vector):
        request = edge.ScrollRequest(
            offset=None if offset is None else read_id(offset),
            limit=limit,
            filter=read_filter(chosen),
            with_payload=with_payload,
            with_vector=with_vector,
        )
        with self.lock:
            found, following = self.shard.scroll(request)
        points = [{"id": show_id(one.id), **_parts(one)} for one in found]
        return {"points": points, "next_page_offset": None if following is None else show_id(following)}

    def count(self, chosen):
        with self.lock:
            return self.shard.count(edge.CountRequest(filter=read_filter(chosen), exact=True))

    def snapshot(self, path, version):
        with self.lock:
            self.shard.flush()
            (self.folder / "version.info").write_text(version)
            temporary = path.with_suffix(".part")
            # The engine allocates its files ahead: almost all of them is zeros.
            with tarfile.open(temporary, "w:gz", compresslevel=1) as archive:
                archive.add(self.folder, arcname=".")
            temporary.replace(path)

    def close(self):
        with self.lock:
            self.shard.flush()
            self.shard.close()


class Store:
    def __init__(self, storage, snapshots):
        self.root, self.snapshots = pathlib.Path(storage) / "collections", pathlib.Path(snapshots)
        self.root.mkdir(parents=True, exist_ok=True)
        (self.snapshots / "tmp").mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self.collections = {
            folder.name: Collection(folder, json.loads((folder / "settings.json").read_text()))
            for folder in sorted(self.root.iterdir())
            if (folder / "settings.json").exists()
        }

        self.alias_file = self.root.parent / "aliases.json"
        self.aliases = json.loads(self.alias_file.read_text()) if self.alias_file.exists() else {}

    def rename_aliases(self, actions):
        """Creates and deletes other names of collections."""
        with self.lock:
            for action in actions:
                if "create_alias" in action:
                    given = action["create_alias"]
                    self.get(given["collection_name"])
                    self.aliases[given["alias_name"]] = given["collection_name"]
                if "delete_alias" in action:
                    self.aliases.pop(action["delete_alias"]["alias_name"], None)
            self.alias_file.write_text(json.dumps(self.aliases))

    def get(self, name):
        if name not in self.collections:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return self.collections[name]

    def create(self, name, vectors):
        if vectors.get("distance") not in DISTANCES or not isinstance(vectors.get("size"), int):
            raise Refused(400, "Format error in JSON body: data did not match any variant of untagged enum VectorsConfig")
        settings = {"vectors": {"size": vectors["size"], "distance": vectors["distance"]}, "indexes": {}}
        with self.lock:
            if name in self.collections:
                raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
            self.collections[name] = Collection(self.root / name, settings)

    def delete(self, name):
        collection = self.collections.pop(name, None)
        if collection is None:
            return False
        collection.close()
        shutil.rmtree(collection.folder)
        return True

    def forget_aliases(self, name):
        """Of a collection that was deleted by somebody; one that is replaced keeps them."""
        with self.lock:
            self.aliases = {alias: target for alias, target in self.aliases.items() if target != name}
            self.alias_file.write_text(json.dumps(self.aliases))

    def recover(self, name, archive, priority, version):
        """
        Replaces a collection with what a snapshot holds; payload indexes do not come along. Without the priority "snapshot" a node keeps
        its own points, and where it has none it makes an empty collection.
        """
        # Beside the storage, as Qdrant does: a rename into place needs the same file system.
        fresh = self.root.parent / "snapshots_temp" / uuid.uuid4().hex
        fresh.mkdir(parents=True)
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(fresh, filter="data")
            settings = {**json.loads((fresh / "settings.json").read_text()), "indexes": {}}
            made = (fresh / "version.info").read_text()
        except (tarfile.TarError, OSError) as error:
            shutil.rmtree(fresh)
            raise Refused(400, f"Wrong input: Failed to unpack snapshot archive: {error}") from error
        if minor(made) != minor(version):
            shutil.rmtree(fresh)
            raise Refused(400, f"Wrong input: Snapshot of version {made} is incompatible with version {version}")
        with self.lock:
            if priority != "snapshot":
                shutil.rmtree(fresh)
                if name not in self.collections:
                    self.create(name, settings["vectors"])
                return
            self.delete(name)
            indexes = json.loads((fresh / "settings.json").read_text())["indexes"]
            fresh.rename(self.root / name)
            recovered = self.collections[name] = Collection(self.root / name, settings)
            for field in indexes:
                recovered.apply(edge.UpdateOperation.delete_field_index(field))
            recovered._save()

    def close(self):
        for collection in self.collections.values():
            collection.close()


def minor(version):
    return version.split(".")[:2]


def read_id(given):
    """Points are named by unsigned integers or UUIDs, nothing else."""
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    try:
        return uuid.UUID(given)
    except (ValueError, AttributeError, TypeError):
        raise Refused(400, f"Format error in JSON body: value {given} is not a valid point ID, valid values are either an unsigned integer or a UUID") from None


def show_id(known):
    return known if isinstance(known, int) else str(known)


def _parts(one):
    return {"payload": one.payload, **({} if one.vector is None else {"vector": one.vector})}
