// Where meshes come from that are no assets of the project, such as glTF files read at run time. Other modules
// register an implementation with IModularFeatures; TorchMultiverseGltf is one.
#pragma once

#include "CoreMinimal.h"
#include "Features/IModularFeature.h"

class UStaticMesh;

class ITmvMeshSource : public IModularFeature
{
public:
	static FName FeatureName() { return TEXT("TmvMeshSource"); }

	/** Loads a file that the bridge found in its own folder. Must be called on the game thread. */
	virtual UStaticMesh* Load(const FString& File, FString& OutError) = 0;
};
