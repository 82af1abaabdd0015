// Files of the glTF folder as characters. Names on the wire are looked up among what was found: none becomes a path.
#pragma once

#include "Containers/Map.h"
#include "CoreMinimal.h"

class UStaticMesh;

class FTmvGltfFolder
{
public:
	/** Lists the .glb files whose names are letters, digits, '_' and '-'. */
	void Scan(const FString& Folder);
	const TMap<FString, FString>& Files() const { return Found; }
	/** Whether something is there to read them. */
	static bool CanLoad();
	static UStaticMesh* Load(const FString& File, FString& OutError);

private:
	TMap<FString, FString> Found;
};
